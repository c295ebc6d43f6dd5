import dataclasses

from test_charts import rows

from digit_core.training_charts import chart_runs, chart_training, tabulate_training
from digit_core.types import TrainEvent

EVENTS = [
    TrainEvent("started", 0.0, batches_per_epoch=4),
    TrainEvent("batch", 1.0, 1, 2, 4, {"loss": 2.0, "accuracy": 0.3}),
    TrainEvent("epoch", 2.0, 1, 4, 4, {"loss": 1.0, "accuracy": 0.6, "val_loss": 0.8, "val_accuracy": 0.7}),
    TrainEvent("batch", 3.0, 2, 1, 4, {"loss": 0.9, "accuracy": 0.7}),
]


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
    assert [(row["model"], row["seconds"], row["value"]) for row in drawn] == [("first", 0, 0.7), ("second", 9, 0.7)]
