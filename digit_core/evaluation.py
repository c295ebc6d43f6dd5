"""Predictions and labels -> Evaluation, and the calibration of probabilities. NumPy only."""

import math

import numpy as np

from digit_core.types import Evaluation

COVERAGE = 0.995  # of answer sets that hold the true digit
BINS = 15  # of equal width, for the calibration error (Guo et al. 2017)


def evaluate(y_true: np.ndarray, probabilities: np.ndarray) -> Evaluation:
    """Compare predictions with the truth.

    y_true: `(N,)` digits 0-9; probabilities: `(N, 10)`, rows summing to 1. Raises ValueError when N is 0 or differs.
    """
    if len(y_true) != len(probabilities) or len(y_true) == 0:
        raise ValueError(f"Got {len(y_true)} labels for {len(probabilities)} predictions, need as many, at least one.")
    y_pred = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = y_pred == y_true
    confusion_matrix = np.zeros((10, 10), np.int64)
    np.add.at(confusion_matrix, (y_true, y_pred), 1)
    hits, support = confusion_matrix.diagonal(), confusion_matrix.sum(axis=1)
    precision = _divide(hits, confusion_matrix.sum(axis=0))
    recall = _divide(hits, support)
    wrong = np.flatnonzero(~right)
    return Evaluation(
        accuracy=float(right.mean()),
        loss=_loss(y_true, probabilities),
        ece=_calibration_error(confidence, right),
        confusion_matrix=confusion_matrix,
        precision=precision,
        recall=recall,
        f1=_divide(2 * precision * recall, precision + recall),
        support=support,
        mistakes=wrong[np.argsort(-confidence[wrong], kind="stable")],
    )


def fit_calibration(y_true: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Choose the temperature (Guo et al. 2017) and the threshold of answer sets (split conformal, Sadinle et al. 2019).

    y_true: `(N,)`; probabilities: `(N, 10)` as the network gives them. The images must not have been trained on.
    """
    temperatures = np.geomspace(0.25, 4.0, 161)
    losses = [_loss(y_true, calibrate(probabilities, {"temperature": float(t)})) for t in temperatures]
    temperature = float(temperatures[int(np.argmin(losses))])
    calibrated = calibrate(probabilities, {"temperature": temperature})
    of_truth = np.sort(calibrated[np.arange(len(y_true)), y_true])
    left_out = math.floor((len(y_true) + 1) * (1 - COVERAGE))  # so many may lie below the threshold
    threshold = float(of_truth[left_out - 1]) if left_out else 0.0
    return {"temperature": temperature, "threshold": threshold}


def calibrate(probabilities: np.ndarray, calibration: dict[str, float]) -> np.ndarray:
    """Divide the logits of `(N, 10)` probabilities by the calibration's temperature; rows sum to 1 again."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-30)) / calibration["temperature"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def answer_set(probabilities: np.ndarray, calibration: dict[str, float]) -> tuple[int, ...]:
    """Return the digits at or above the threshold, at least one, most probable first. probabilities: `(10,)`."""
    order = np.argsort(-probabilities, kind="stable")
    return tuple(
        int(digit) for rank, digit in enumerate(order) if rank == 0 or probabilities[digit] >= calibration["threshold"]
    )


def _loss(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    of_truth = probabilities[np.arange(len(y_true)), y_true].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, 1e-15)).mean())


def _calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros(len(a)), where=b > 0)


def interval(total: int, correct: int) -> tuple[float, float]:
    """The 95 % interval of a share in 0-1, `(low, high)` (Wilson 1927)."""
    z2 = 1.96**2
    middle, spread = correct + z2 / 2, 1.96 * math.sqrt(correct * (total - correct) / total + z2 / 4)
    return max(0.0, (middle - spread) / (total + z2)), min(1.0, (middle + spread) / (total + z2))
