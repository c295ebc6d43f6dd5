import dataclasses
import re
import tomllib
from datetime import date

import numpy as np
import pytest

from digit_core.charts import (
    chart_calibration,
    chart_confusion,
    chart_days,
    chart_growth,
    chart_probabilities,
    chart_runs,
    chart_shares,
    chart_training,
    leave_data_out,
    tabulate_growth,
    tabulate_probabilities,
    tabulate_training,
)
from digit_core.settings import ROOT
from digit_core.types import Prediction, TrainEvent

EVENTS = [
    TrainEvent("started", 0.0, batches_per_epoch=4),
    TrainEvent("batch", 1.0, 1, 2, 4, {"loss": 2.0, "accuracy": 0.3}),
    TrainEvent("epoch", 2.0, 1, 4, 4, {"loss": 1.0, "accuracy": 0.6, "val_loss": 0.8, "val_accuracy": 0.7}),
    TrainEvent("batch", 3.0, 2, 1, 4, {"loss": 0.9, "accuracy": 0.7}),
]


def prediction(model_id):
    probabilities = np.full(10, 0.05, np.float32)
    probabilities[3] = 0.55
    return Prediction(3, 0.55, probabilities, 0.55, True, (3,), np.zeros((28, 28), np.float32), model_id, 0.1)


def rows(chart):
    """All rows of data that a chart draws, over all its layers."""
    return [row for data in chart.to_dict()["datasets"].values() for row in data]


def test_every_probability_of_every_model_is_a_bar():
    drawn = rows(chart_probabilities(tabulate_probabilities([prediction("cnn"), prediction("ann")])))
    assert len(drawn) == 20
    assert {row["model"] for row in drawn} == {"CNN", "ANN"}
    assert [row["probability"] for row in drawn if row["digit"] == 3] == pytest.approx([0.55, 0.55])


def test_a_chart_without_its_data_is_the_same_for_other_data():
    tables = [
        tabulate_probabilities([dataclasses.replace(prediction("cnn"), probabilities=row)]) for row in np.eye(10)[:2]
    ]
    one, other = (leave_data_out(chart_probabilities(table)) for table in tables)
    assert one == other
    assert "encoding" in one


def test_what_is_written_in_a_chart_stands_out_from_the_ground_of_both_themes():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    written = leave_data_out(chart_probabilities(tabulate_probabilities([prediction("cnn")])))["config"]["axis"]
    on_dark, on_light = re.findall("#[0-9a-f]{6}", written["labelColor"]["expr"])
    assert contrast(on_light, theme["light"]["backgroundColor"]) > 4.5
    assert contrast(on_dark, theme["dark"]["backgroundColor"]) > 4.5
    assert contrast(on_light, theme["dark"]["backgroundColor"]) < 4.5


def contrast(colour: str, ground: str) -> float:
    """How far two colours stand out from one another (WCAG 2)."""
    shares = np.array([[int(each[i : i + 2], 16) / 255 for i in (1, 3, 5)] for each in (colour, ground)])
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    darker, lighter = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (lighter + 0.05) / (darker + 0.05)


def test_training_is_tabulated_per_batch_smoothed_and_per_epoch():
    table = tabulate_training(EVENTS, "accuracy")
    assert table[table["points"] == "batch"][["epoch", "value"]].values.tolist() == [[0.5, 0.3], [1.25, 0.7]]
    assert table[table["points"] == "smoothed"]["value"].between(0.3, 0.7).all()
    assert table[table["points"] == "epoch"][["epoch", "value"]].values.tolist() == [[1.0, 0.7]]


def test_an_earlier_run_lies_behind_with_its_validation():
    table = tabulate_training(EVENTS[:2], "loss", EVENTS, "before")
    assert table[table["images"] == "before"][["epoch", "value", "points"]].values.tolist() == [[1.0, 0.8, "earlier"]]
    drawn = chart_training(table, "loss", "before").to_dict()
    assert len(drawn["layer"]) == 4
    assert len(rows(chart_training(table, "loss", "before"))) == len(table)


def test_a_training_without_an_epoch_yet_can_be_drawn():
    assert [row["value"] for row in rows(chart_training(tabulate_training(EVENTS[:2], "loss"), "loss"))] == [2.0, 2.0]
    assert rows(chart_training(tabulate_training([], "loss"), "loss")) == []


def test_runs_are_laid_over_each_other_by_time():
    later = [dataclasses.replace(event, elapsed_s=9.0) for event in EVENTS]
    drawn = rows(chart_runs({"first": EVENTS, "second": later, "empty": []}, "accuracy"))
    assert [(row["images"], row["seconds"], row["value"]) for row in drawn] == [("first", 0, 0.7), ("second", 9, 0.7)]


def test_what_nobody_drew_has_no_bar():
    drawn = rows(chart_shares({digit: (4, 3) if digit == 2 else (0, 0) for digit in range(10)}, "Digit"))
    assert [(row["name"], row["share"]) for row in drawn] == [(2, 0.75)]


def test_days_are_averaged_with_each_drawing_counting_alike():
    days = {date(2026, 3, 1): (1, 0), date(2026, 3, 4): (9, 9), date(2026, 3, 5): (0, 0)}
    assert [(row["share"], row["mean"]) for row in rows(chart_days(days))] == [(0.0, 0.0), (1.0, 0.9)]
    assert rows(chart_days({})) == []


def test_confidence_stands_beside_the_share_that_was_right_and_its_interval():
    drawn = rows(chart_calibration({0.9: (0.95, (10, 9)), 0.5: (0.6, (1, 1)), 0.0: (0.3, (0, 0))}))
    points = {row["confidence"]: (row["low"], row["share"], row["high"]) for row in drawn if "low" in row}
    assert set(points) == {0.95, 0.6}
    assert points[0.95] == pytest.approx((0.596, 0.9, 0.982), abs=0.001)  # Wilson's, by hand
    assert points[0.6][2] == 1.0


def test_a_confusion_matrix_is_coloured_by_the_share_of_the_true_digit():
    matrix = np.diag(np.full(10, 8))
    matrix[4, 9] = 2
    cell = next(row for row in rows(chart_confusion(matrix)) if (row["true"], row["predicted"]) == (4, 9))
    assert (cell["count"], cell["share"]) == (2, 0.2)


def test_a_growing_drawing_has_a_line_for_each_digit_that_mattered():
    grown = [dataclasses.replace(prediction("cnn"), probabilities=np.eye(10)[digit]) for digit in (1, 1, 7, 7)]
    table = tabulate_growth({"cnn": grown}, now=2)
    assert sorted(table["digit"].unique()) == ["1", "7"]
    assert table[table["now"]]["drawn"].unique().tolist() == [0.75]
    assert table[table["digit"] == "7"]["probability"].tolist() == [0, 0, 1, 1]
    unsure = [dataclasses.replace(prediction("cnn"), probabilities=np.full(10, 0.1, np.float32))]
    assert len(tabulate_growth({"cnn": unsure}, now=0)["digit"].dropna()) == 10
    layers = chart_growth(table).to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["line", "rule"]


def test_a_cell_of_a_confusion_matrix_can_be_chosen_and_is_framed():
    drawn = chart_confusion(np.eye(10, dtype=np.int64), (4, 9)).to_dict()
    assert [choice["select"]["fields"] for choice in drawn["params"] if choice["name"] == "cell"] == [
        ["true", "predicted"]
    ]
    assert "datum.true == 4 && datum.predicted == 9" in str(drawn)
    assert "params" not in chart_confusion(np.eye(10, dtype=np.int64)).to_dict()
