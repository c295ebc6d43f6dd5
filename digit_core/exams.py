"""Labelled images that every model is measured with in the same way, and what each model answered to them.

A model reads an exam once for each version of its network: what it answers is kept in the data folder, in a file named
by the digests of both.
"""

import contextlib
import hashlib
import os
import statistics
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.arrays import keep_arrays, load_arrays
from digit_core.classifier import Network
from digit_core.datasets import find_mnist, load_mnist
from digit_core.errors import DataUnavailable, ModelUnavailable
from digit_core.evaluation import calibrate, evaluate
from digit_core.feedback import share_store
from digit_core.model_store import NETWORK_FILES, load_info, model_folder, read_model_file
from digit_core.settings import Settings
from digit_core.stress import WAYS, load_stress
from digit_core.types import ModelInfo

EXAMS = ("mnist", "stress", "feedback")
NETWORK = NETWORK_FILES[1]  # the one that serves
DRAWINGS = 2_000  # of the feedback, at most
FOLDER, KEPT = "answers", 1_000  # files: those that nobody asked for longest go
RECENT = 64  # readings in memory, which are all that is kept where nothing can be written
FILE_BYTES = 20_000_000
TIMED = 25  # images read one by one, to tell how long one takes
_recent: dict[Path, dict[str, np.ndarray]] = {}
_taking = threading.Lock()  # readings side by side would only be slower, and keep those waiting who draw


@dataclass(frozen=True, eq=False)
class Exam:
    """Images `(N, 28, 28) uint8` and their digits `(N,) int64`; sha256 is that of both.

    sources tells of each image where it comes from, in words.
    """

    name: str
    images: np.ndarray
    y_true: np.ndarray
    sources: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Marks:
    """How a model did in an exam: accuracy and calibration error in 0-1, milliseconds for an image on this machine."""

    accuracy: float
    ece: float
    ms: float


def list_exams(settings: Settings) -> list[str]:
    """The names of the exams whose images are on this machine; of feedback it is not known without asking."""
    mnist = find_mnist(settings)
    return [name for name in EXAMS if name != "mnist" or (mnist is not None and mnist.is_file())]


def load_exam(name: str, settings: Settings) -> Exam:
    """Load the images of an exam: `mnist`, its test images, `stress`, drawn by the program, or people's `feedback`, of
    which the newest.

    Nothing is downloaded. Raises DataUnavailable when there are none, FeedbackUnavailable.
    """
    if name == "mnist":
        return _load_mnist(settings)
    if name == "stress":
        return _load_stress(settings)
    images, digits = share_store(settings.database_url).images(DRAWINGS)
    if not len(images):
        raise DataUnavailable(
            "Nobody has said yet what a drawing shows. Draw some digits, and say whether they were read rightly."
        )
    return _make_exam(name, images, digits, ("a person's drawing",) * len(images))


@lru_cache(maxsize=1)
def _load_mnist(settings: Settings) -> Exam:
    if "mnist" not in list_exams(settings):
        raise DataUnavailable("MNIST is not on this machine. Download it on the page Train.")
    dataset = load_mnist(settings)
    sources = tuple(f"MNIST test image {number:,}" for number in range(len(dataset.x_test)))
    return _make_exam("mnist", dataset.x_test, dataset.y_test, sources)


@lru_cache(maxsize=1)
def _load_stress(settings: Settings) -> Exam:
    images, digits, ways = load_stress(settings)
    return _make_exam("stress", images, digits, tuple(f"stress drawing, {WAYS[way]}" for way in ways.tolist()))


def _make_exam(name: str, images: np.ndarray, digits: np.ndarray, sources: tuple[str, ...]) -> Exam:
    digest = hashlib.sha256(images.tobytes() + digits.tobytes()).hexdigest()
    return Exam(name, images, digits, sources, digest)


def take_exam(info: ModelInfo, exam: Exam, settings: Settings) -> np.ndarray:
    """What a model answers: calibrated probabilities `(N, 10) float32`; read anew unless that is kept.

    Raises ModelUnavailable when the model is missing or damaged.
    """
    _check_network(info, settings)
    path = _find_file(info, exam, settings)
    kept = _recall(path, exam)
    if kept is None:
        with _taking:
            kept = _recall(path, exam)  # by somebody else, meanwhile
            if kept is None:
                kept = _read(info, exam, settings)
                _keep(path, kept)
    return calibrate(kept["probabilities"], info.calibration)


def find_marks(info: ModelInfo, exam: Exam, settings: Settings) -> Marks | None:
    """How a model did in an exam; None as long as it has not taken it. Raises what `take_exam` raises."""
    _check_network(info, settings)
    try:
        return _mark(_find_file(info, exam, settings), exam, tuple(info.calibration.items()))
    except DataUnavailable:
        return None


@lru_cache(maxsize=1000)
def _mark(path: Path, exam: Exam, calibration: tuple[tuple[str, float], ...]) -> Marks:
    kept = _recall(path, exam)
    if kept is None:  # an exception, unlike None, is asked for again
        raise DataUnavailable(f"{path} is not there. Let the model take the exam.")
    evaluation = evaluate(exam.y_true, calibrate(kept["probabilities"], dict(calibration)))
    return Marks(evaluation.accuracy, evaluation.ece, float(kept["ms"][0]))


def _check_network(info: ModelInfo, settings: Settings) -> None:
    """Raise ModelUnavailable when a model's network is not that whose answers may be kept."""
    try:
        state = (model_folder(info.model_id, settings) / NETWORK).stat()
    except OSError:
        state = None
    _read_network(info.model_id, info.sha256[NETWORK], state and (state.st_mtime_ns, state.st_size), settings)


@lru_cache(maxsize=1000)
def _read_network(model_id: str, sha256: str, state: tuple[int, int] | None, settings: Settings) -> None:
    """Compare a file that has this time and size with its digest: once, for few change."""
    read_model_file(load_info(model_id, settings), NETWORK, settings)


def _find_file(info: ModelInfo, exam: Exam, settings: Settings) -> Path:
    key = hashlib.sha256(f"{info.sha256[NETWORK]} {exam.sha256}".encode()).hexdigest()
    return settings.data / FOLDER / f"{key}.npz"


def _read(info: ModelInfo, exam: Exam, settings: Settings) -> dict[str, np.ndarray]:
    """What is kept of an exam: `probabilities (N, 10) float32` as trained, not calibrated, and in `ms (1,) float64` the
    milliseconds for one image."""
    network = Network(read_model_file(info, NETWORK, settings))
    try:
        probabilities = network.probabilities(exam.images)
        seconds = []
        for image in exam.images[:TIMED]:
            start = time.perf_counter()
            network.probabilities(image[None])
            seconds.append(time.perf_counter() - start)
    except (ValueError, RuntimeError, TypeError, IndexError):
        probabilities, seconds = np.empty(0), [0.0]
    if probabilities.shape != (len(exam.images), 10) or not np.isfinite(probabilities).all():
        raise ModelUnavailable(
            f"Model {info.model_id} does not answer with ten probabilities. Restore it or train again."
        )
    ms = np.array([1000 * statistics.median(seconds)])
    return {"probabilities": probabilities, "ms": ms}


def _recall(path: Path, exam: Exam) -> dict[str, np.ndarray] | None:
    """What was read before, from memory or its file."""
    if (recent := _recent.get(path)) is not None:
        return recent
    with contextlib.suppress(OSError):
        os.utime(path)
    return _read_kept(path, len(exam.images))


def _keep(path: Path, answers: dict[str, Any]) -> None:
    _recent[path] = answers
    while len(_recent) > RECENT:
        _recent.pop(next(iter(_recent)), None)
    if not keep_arrays(path, answers):  # the model reads them again next time
        return
    with contextlib.suppress(OSError):
        for file in sorted(path.parent.glob("*.npz"), key=lambda file: -file.stat().st_mtime)[KEPT:]:
            file.unlink(missing_ok=True)


def _read_kept(path: Path, count: int) -> dict[str, np.ndarray] | None:
    try:
        answers = load_arrays(path, ("probabilities", "ms"), FILE_BYTES, "It is made anew.")
    except DataUnavailable:
        return None
    kinds = {"probabilities": ((count, 10), "float32"), "ms": ((1,), "float64")}
    sound = all((answers[name].shape, str(answers[name].dtype)) == kind for name, kind in kinds.items())
    sound = sound and all(np.isfinite(array).all() and (array >= 0).all() for array in answers.values())
    return answers if sound else None
