import numpy as np
import pytest
from test_charts import rows

from digit_core.model_charts import chart_digits, chart_reliability, tabulate_reliability


def sure(*answers):
    """Probabilities of answers, each a digit and a confidence."""
    table = np.zeros((len(answers), 10))
    for row, (digit, confidence) in zip(table, answers, strict=True):
        row[:] = (1 - confidence) / 9
        row[digit] = confidence
    return table


def test_each_digit_of_each_model_is_a_point():
    drawn = rows(chart_digits({"cnn": np.full(10, 0.5), "ann": np.arange(10) / 10}))
    assert len(drawn) == 20
    assert [row["share"] for row in drawn if (row["model"], row["digit"]) == ("ANN", 7)] == [0.7]


def test_answers_are_gathered_by_their_confidence():
    y_true = np.array([1, 2, 3, 4])
    table = tabulate_reliability(y_true, sure((1, 0.92), (2, 0.98), (9, 0.96), (4, 0.55)))
    assert table["answers"].tolist() == [1, 3]
    assert table["confidence"].tolist() == pytest.approx([0.55, (0.92 + 0.98 + 0.96) / 3])
    assert table["share"].tolist() == pytest.approx([1, 2 / 3])


def test_full_confidence_has_a_place():
    assert tabulate_reliability(np.array([1]), sure((1, 1.0)))["confidence"].tolist() == [1.0]


def test_models_lie_beside_the_line_of_the_well_calibrated():
    table = tabulate_reliability(np.array([1]), sure((1, 0.9)))
    drawn = rows(chart_reliability({"cnn": table, "ann": table}))
    assert {row["model"] for row in drawn if "model" in row} == {"CNN", "ANN"}
    assert {(row["confidence"], row["share"]) for row in drawn if "model" not in row} == {(0.0, 0.0), (1.0, 1.0)}
