import numpy as np
import pytest

from digit_core.charts import chart_confusion, chart_probabilities, chart_recall, chart_training
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
    drawn = rows(chart_probabilities([prediction("cnn"), prediction("ann")]))
    assert len(drawn) == 20
    assert {row["model"] for row in drawn} == {"CNN", "ANN"}
    assert [row["probability"] for row in drawn if row["digit"] == 3] == pytest.approx([0.55, 0.55])


def test_training_is_drawn_per_batch_and_per_epoch():
    drawn = rows(chart_training(EVENTS, "accuracy"))
    assert [row["epoch"] for row in drawn if "images" not in row] == [0.5, 1.0, 1.25]
    assert {(row["images"], row["value"]) for row in drawn if "images" in row} == {
        ("training", 0.6),
        ("validation", 0.7),
    }


def test_a_training_without_an_epoch_yet_can_be_drawn():
    assert [row["value"] for row in rows(chart_training(EVENTS[:2], "loss"))] == [2.0]


def test_a_digit_that_nobody_drew_has_no_bar():
    drawn = rows(chart_recall({digit: (4, 3) if digit == 2 else (0, 0) for digit in range(10)}))
    assert [(row["digit"], row["share"]) for row in drawn] == [(2, 0.75)]


def test_a_confusion_matrix_is_coloured_by_the_share_of_the_true_digit():
    matrix = np.diag(np.full(10, 8))
    matrix[4, 9] = 2
    cell = next(row for row in rows(chart_confusion(matrix)) if (row["true"], row["predicted"]) == (4, 9))
    assert (cell["count"], cell["share"]) == (2, 0.2)
