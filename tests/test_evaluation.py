import numpy as np
import pytest

from digit_core.evaluation import answer_set, calibrate, evaluate, fit_calibration


def certain(digits, confidence=0.91):
    """Probabilities that give each digit that confidence, and the others the rest in equal parts."""
    rows = np.full((len(digits), 10), (1 - confidence) / 9, np.float32)
    rows[np.arange(len(digits)), digits] = confidence
    return rows


def test_four_answers_are_counted_as_by_hand():
    evaluation = evaluate(np.array([3, 3, 8, 8]), certain([3, 8, 8, 8]))
    assert evaluation.accuracy == 0.75
    assert evaluation.confusion_matrix[3].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    assert evaluation.precision[[3, 8]] == pytest.approx([1, 2 / 3])
    assert evaluation.recall[[3, 8]] == pytest.approx([1 / 2, 1])
    assert evaluation.f1[[3, 8]] == pytest.approx([2 / 3, 4 / 5])
    assert evaluation.support[[3, 8]].tolist() == [2, 2]
    assert evaluation.loss == pytest.approx(-(3 * np.log(0.91) + np.log(0.01)) / 4)
    assert evaluation.ece == pytest.approx(0.91 - 0.75)


def test_mistakes_come_most_confident_first():
    rows = np.concatenate([certain([1], 0.5), certain([1], 0.9), certain([0], 0.7)])
    assert evaluate(np.array([0, 0, 0]), rows).mistakes.tolist() == [1, 0]


def test_a_digit_that_never_occurs_has_no_precision():
    assert evaluate(np.array([1]), certain([1])).precision[7] == 0


@pytest.mark.parametrize("labels", [[], [1, 2]])
def test_as_many_labels_as_predictions_are_needed(labels):
    with pytest.raises(ValueError, match=f"Got {len(labels)} labels for 1"):
        evaluate(np.array(labels, int), certain([1]))


def test_calibration_finds_the_temperature_that_sharpened_the_answers():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 10))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > rng.random((len(honest), 1))).argmax(axis=1)
    sharpened = honest**2 / (honest**2).sum(axis=1, keepdims=True)
    calibration = fit_calibration(labels, sharpened)
    assert calibration["temperature"] == pytest.approx(2, rel=0.05)
    assert evaluate(labels, calibrate(sharpened, calibration)).ece < 0.01 < evaluate(labels, sharpened).ece


def test_answer_sets_hold_the_truth_as_often_as_promised():
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (8_000, 10))
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (rows.cumsum(axis=1) > rng.random((len(rows), 1))).argmax(axis=1)
    calibration = fit_calibration(labels[:4_000], rows[:4_000])
    answers = calibrate(rows[4_000:], calibration)
    held = [label in answer_set(row, calibration) for label, row in zip(labels[4_000:], answers, strict=True)]
    assert np.mean(held) == pytest.approx(0.995, abs=0.005)


def test_an_answer_set_is_never_empty_and_begins_with_the_answer():
    assert answer_set(certain([4], 0.2)[0], {"threshold": 0.9}) == (4,)
    assert answer_set(certain([4], 0.2)[0], {"threshold": 0.01})[0] == 4


def test_calibrated_rows_sum_to_one_even_where_a_network_is_dead_sure():
    rows = calibrate(np.eye(10, dtype=np.float32), {"temperature": 3.0})
    assert rows.sum(axis=1) == pytest.approx(np.ones(10))
    assert rows.argmax(axis=1).tolist() == list(range(10))
