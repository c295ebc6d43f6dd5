"""What a model that serves can do, and how far its confidence is to be trusted."""

from collections.abc import Callable

import numpy as np

from digit_core.augmentation import augment
from digit_core.evaluation import calibrate, evaluate, fit_calibration
from digit_core.types import Evaluation, Pictures

WORST = 24  # mistakes kept as pictures

Labelled = tuple[np.ndarray, np.ndarray]  # images `(N, 28, 28) uint8` and digits `(N,) int64`
Read = Callable[[np.ndarray], np.ndarray]  # images `(N, 28, 28) uint8` -> probabilities `(N, 10)`


def measure(
    read: Read, validation: Labelled, test: Labelled, seed: int
) -> tuple[Evaluation, dict[str, float], Pictures]:
    """Calibrate what answers by the validation images, then evaluate it on the test images.

    Calibration wants images as clear and as odd as people's drawings: those that validate are read as they are, and
    augmented as the seed has it.
    Returns the worst mistakes, too.
    """
    x_validation, y_validation = validation
    x_test, y_test = test
    augmented = augment(x_validation, np.random.default_rng(seed))
    calibration = fit_calibration(np.tile(y_validation, 2), np.concatenate([read(x_validation), read(augmented)]))
    probabilities = calibrate(read(x_test), calibration)
    evaluation = evaluate(y_test, probabilities)
    worst = evaluation.mistakes[:WORST]
    return evaluation, calibration, Pictures(x_test[worst], y_test[worst], probabilities[worst].argmax(axis=1))
