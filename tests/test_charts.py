import dataclasses
import re
import tomllib
from datetime import date

import numpy as np
import pytest

from digit_core.charts import (
    COLOURS,
    DIGIT_COLOURS,
    chart_calibration,
    chart_confusion,
    chart_days,
    chart_growth,
    chart_probabilities,
    chart_shares,
    colours_of,
    leave_data_out,
    tabulate_growth,
    tabulate_probabilities,
)
from digit_core.settings import ROOT
from digit_core.types import Prediction


def prediction(model_id):
    probabilities = np.full(10, 0.05, np.float32)
    probabilities[3] = 0.55
    return Prediction(3, 0.55, probabilities, 0.55, True, (3,), np.zeros((28, 28), np.float32), model_id, 0.1)


def rows(chart):
    """All rows of data that a chart draws, over all its layers."""
    return [row for data in chart.to_dict()["datasets"].values() for row in data]


def test_every_probability_of_every_model_is_a_bar():
    table = tabulate_probabilities([prediction("cnn"), prediction("ann")])
    drawn = rows(chart_probabilities(table, ["cnn", "ann"]))
    assert len(drawn) == 20
    assert {row["model"] for row in drawn} == {"CNN", "ANN"}
    assert [row["probability"] for row in drawn if row["digit"] == 3] == pytest.approx([0.55, 0.55])


def test_a_chart_without_its_data_is_the_same_for_other_data():
    tables = [
        tabulate_probabilities([dataclasses.replace(prediction("cnn"), probabilities=row)]) for row in np.eye(10)[:2]
    ]
    one, other = (leave_data_out(chart_probabilities(table, ["cnn"])) for table in tables)
    assert one == other
    assert "encoding" in one


def test_what_is_written_in_a_chart_stands_out_from_the_ground_of_both_themes():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    chart = chart_probabilities(tabulate_probabilities([prediction("cnn")]), ["cnn"])
    written = leave_data_out(chart)["config"]["axis"]
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
    assert [layer["mark"]["type"] for layer in layers] == ["line", "text", "rule"]
    peaks = table[table["peak"]].sort_values("digit")
    assert peaks[["digit", "drawn"]].values.tolist() == [["1", 0.25], ["7", 0.75]]


def colours_in(legend):
    return dict(zip(legend["scale"]["domain"], legend["scale"]["range"], strict=True))


def test_a_model_keeps_its_colour_in_all_charts_and_shares_it_with_none_beside_it():
    ids = ["ann", "mine", "cnn", *(f"run-{number}" for number in range(5))]
    together = colours_of(ids)
    assert list(together) == ids and len(set(together.values())) == len(ids)
    for few in (["cnn", "ann"], ["mine"], ["ann", "mine"]):
        assert colours_of(few) == {model_id: together[model_id] for model_id in few}
    assert colours_of(ids[::-1]) == together
    assert not {"#0088cc", "#e69f00"} & {colours_of([f"run-{number}"])[f"run-{number}"] for number in range(100)}
    assert len(colours_of([f"run-{number}" for number in range(20)])) == 20  # more than there are colours
    drawn = chart_probabilities(tabulate_probabilities([prediction("mine"), prediction("ann")]), ["mine", "ann"])
    assert colours_in(drawn.to_dict()["encoding"]["color"]) == {"mine": together["mine"], "ANN": together["ann"]}


def test_no_digit_has_the_colour_of_a_model():
    assert len(set(DIGIT_COLOURS)) == 10
    assert not set(DIGIT_COLOURS) & set(COLOURS)


def test_a_cell_of_a_confusion_matrix_can_be_chosen_and_is_framed():
    drawn = chart_confusion(np.eye(10, dtype=np.int64), (4, 9)).to_dict()
    assert [choice["select"]["fields"] for choice in drawn["params"] if choice["name"] == "cell"] == [
        ["true", "predicted"]
    ]
    assert "datum.true == 4 && datum.predicted == 9" in str(drawn)
    assert "params" not in chart_confusion(np.eye(10, dtype=np.int64)).to_dict()
