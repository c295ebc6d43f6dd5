"""MNIST, synthetic digits, pen strokes, feedback and drawings of all kinds -> Dataset.

MNIST is looked for in this order: the path given, `DIGIT_LAB_MNIST`, Keras's cache, our own; else it is downloaded.
"""

import hashlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.arrays import draw_once, load_arrays
from digit_core.downloads import fetch
from digit_core.drawings import read_drawings
from digit_core.errors import DataUnavailable, InvalidConfig
from digit_core.feedback import FeedbackStore
from digit_core.handwriting import enter_image, vary
from digit_core.pen_digits import FORM, require_pen_digits
from digit_core.preprocessing import preprocess
from digit_core.scribbles import scribble
from digit_core.settings import Settings
from digit_core.strokes import SIDE
from digit_core.synthetic import draw_digit, draw_digits
from digit_core.types import Dataset, Drawing

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = {  # of the arrays' bytes in C order: they hold for every packaging
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
MNIST_BYTES = 55_000_000  # unpacked; the file itself has 11.5 million
DOWNLOAD_BYTES = 20_000_000
SYNTHETIC_TRAIN, SYNTHETIC_TEST, SYNTHETIC_SEED = 30_000, 2_000, 2026
SYNTHETIC_FILE = "synthetic-1.npz"  # another number for what is drawn otherwise
BASES = ("mnist", "synthetic")  # what a data set's test and validation images are of
ADDITIONS = ("synthetic", "pen-digits", "feedback", "drawings")
OF_PEN_DIGITS = {"pen-digits", "drawings"}  # those that are made of the pen strokes
PEN_DIGITS = 5_000  # about; of 20 writers
TRAINING_WRITERS, CHOOSING_WRITERS = range(1, 21), range(21, 25)  # of the UCI Pen Digits; the others are for measuring
DRAWINGS = {"pen strokes": 40_000, "digits": 30_000, "scribbles": 20_000}  # to train on
CHOOSING_DRAWINGS = 4_000  # that validate
FEEDBACK_SHARE, FEEDBACK_REPEATS = 0.1, 20  # of the base's images that corrections may make up; of one of them
REPORT = 1_000  # drawings between two reports of progress

Strokes = tuple[np.ndarray, ...]
Images = tuple[np.ndarray, np.ndarray]  # `(N, 28, 28) uint8` and `(N,)` digits
Progress = Callable[[str, float], None]


def load_dataset(name: str, settings: Settings, on_progress: Progress = lambda what, share: None) -> Dataset:
    """Load a data set by its name: `mnist` or `synthetic`, and with `+` between them what is added for training.

    The base's training images come last, so that they validate, then drawings by writers of whom nothing is trained on,
    where drawings are added. `on_progress` is told what goes on and which share of it is done. Raises DataUnavailable
    when there is none of that name, or something is out of reach.
    """
    base_name, *added = check_dataset(name, settings)
    parts = {}
    validating: list[Images] = []
    if "drawings" in added:
        parts["drawings"], chosen = _draw_drawings(settings, lambda share: on_progress("Drawing", share))
        validating.append(chosen)
    if "pen-digits" in added:
        parts["pen-digits"] = load_pen_digits(settings)
    if "feedback" in added:
        parts["feedback"] = _load_feedback(settings, count_images(base_name))
    drawn = None
    if "synthetic" in (base_name, *added):
        drawn = load_synthetic(settings, lambda share: on_progress("Drawing digits", share))
        parts["synthetic"] = drawn.x_train, drawn.y_train
    base = drawn if base_name == "synthetic" else None
    base = base or load_mnist(settings, on_progress=lambda share: on_progress("Downloading MNIST", share))
    if not added:
        return base
    images = [*(parts[addition] for addition in added), (base.x_train, base.y_train), *validating]
    x_train, y_train = (np.concatenate(arrays) for arrays in zip(*images, strict=True))
    return make_dataset(name, x_train, y_train, base.x_test, base.y_test)


def check_dataset(name: str, settings: Settings) -> list[str]:
    """Split a data set's name, as `split_name` does.

    Raises DataUnavailable, also when it wants pen strokes, or a file of MNIST, that are named but not there.
    """
    parts = split_name(name)
    if parts[0] == "mnist" and settings.mnist and not settings.mnist.is_file():
        raise DataUnavailable(
            f"DIGIT_LAB_MNIST names {settings.mnist}, which is not there. Put mnist.npz ({MNIST_URL}) there, or choose "
            "synthetic digits."
        )
    if OF_PEN_DIGITS & set(parts):
        require_pen_digits(settings)
    return parts


def check_validation(name: str, share: float) -> None:
    """Raise InvalidConfig when what is no digit would be among the images that validate, which come last."""
    base, *added = split_name(name)
    most = (count_images(base) + CHOOSING_DRAWINGS) / count_images(name)
    if "drawings" in added and share > most:
        raise InvalidConfig(
            f"The validation share is {100 * share:.1f} %, which would take in what is no digit. Choose at most "
            f"{math.floor(1000 * most) / 10} %."
        )


def part_validation(name: str, images: np.ndarray) -> list[np.ndarray]:
    """The images that validate, `(N, 28, 28)`, by what they are of: the base's, and drawings where some are added."""
    drawings = CHOOSING_DRAWINGS if "drawings" in split_name(name) else 0
    return [part for part in np.split(images, [max(len(images) - drawings, 0)]) if len(part)]


def count_images(name: str) -> int:
    """About how many training images a data set has, without loading it. Raises DataUnavailable."""
    counts = {
        "mnist": 60_000,
        "synthetic": SYNTHETIC_TRAIN,
        "pen-digits": PEN_DIGITS,
        "feedback": 0,
        "drawings": sum(DRAWINGS.values()) + CHOOSING_DRAWINGS,
    }
    return sum(counts[part] for part in split_name(name))


def split_name(name: str) -> list[str]:
    """Split a data set's name into its base and what is added. Raises DataUnavailable when there is none such."""
    base, *added = name.split("+")
    if base not in BASES or base in added or not set(added) <= set(ADDITIONS) or len(set(added)) < len(added):
        raise DataUnavailable(
            f"There is no data set {name!r:.80}. Choose {' or '.join(BASES)}, and add {', '.join(ADDITIONS)} with '+', "
            "like mnist+synthetic."
        )
    return [base, *added]


def load_mnist(
    settings: Settings, path: Path | None = None, on_progress: Callable[[float], None] = lambda share: None
) -> Dataset:
    """Load MNIST (LeCun, Cortes and Burges), downloading it if it is not on this machine.

    `on_progress` is told the share downloaded, 0-1. Raises DataUnavailable when a file that was named is not MNIST, or
    when there is none and the download fails; the message says which file to put where.
    """
    found = path or find_mnist(settings)
    if found is None:
        found = download_mnist(settings, on_progress)
    return _read_mnist(found)


def find_mnist(settings: Settings) -> Path | None:
    """Return the MNIST file on this machine, or None. A file named by `DIGIT_LAB_MNIST` is not replaced by another."""
    if settings.mnist:
        return settings.mnist
    places = (Path.home() / ".keras" / "datasets" / "mnist.npz", settings.data / "mnist.npz")
    return next((place for place in places if place.is_file()), None)


def load_synthetic(settings: Settings, on_progress: Callable[[float], None] = lambda share: None) -> Dataset:
    """Load the built-in data set. At first, and when its file is damaged, it is drawn, which takes some twelve seconds.

    `on_progress` is told the share drawn, 0-1.
    """
    train, test = SYNTHETIC_TRAIN, SYNTHETIC_TEST
    shapes = {"x_train": (train, SIDE, SIDE), "y_train": (train,), "x_test": (test, SIDE, SIDE), "y_test": (test,)}

    def draw() -> dict[str, np.ndarray]:
        parts = *draw_digits(train, SYNTHETIC_SEED, on_progress), *draw_digits(test, SYNTHETIC_SEED + 1)
        return {name: part.astype(np.uint8, copy=False) for name, part in zip(shapes, parts, strict=True)}

    x_train, y_train, x_test, y_test = draw_once(settings.data / SYNTHETIC_FILE, shapes, draw).values()
    return make_dataset("synthetic", x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64))


def _read_mnist(path: Path) -> Dataset:
    advice = f"Put mnist.npz ({MNIST_URL}) there, or name another file in DIGIT_LAB_MNIST."
    arrays = load_arrays(path, tuple(MNIST_SHA256), MNIST_BYTES, advice)
    for name, array in arrays.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != MNIST_SHA256[name]:
            raise DataUnavailable(f"{name} in {path} is not MNIST's. {advice}")
    return make_dataset("mnist", arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


def load_pen_digits(settings: Settings) -> Images:
    """The strokes of the training writers, drawn as MNIST would have been; what cannot be read is left out."""
    drawings = _read_strokes(settings, TRAINING_WRITERS)
    return np.array([preprocess(Drawing(strokes)) for strokes, _ in drawings]), np.array(
        [label for _, label in drawings]
    )


def _read_strokes(settings: Settings, writers: range) -> list[tuple[Strokes, int]]:
    """Strokes and labels of some writers of the UCI Pen Digits; strokes that tell no writer are to train on."""

    def is_of_them(entry: dict[str, Any]) -> bool:
        if "writer" not in entry:
            return writers == TRAINING_WRITERS
        number = re.fullmatch(r"train-(\d{1,9})", str(entry["writer"]))
        return number is not None and int(number[1]) in writers

    file = require_pen_digits(settings)
    try:
        found = [
            (drawing.strokes, label)
            for label, drawing in read_drawings(file, is_of_them)
            if label is not None and isinstance(drawing, Drawing) and drawing.strokes
        ]
    except DataUnavailable as error:
        again = "" if settings.pen_digits else " `python -m digit_core data fetch pen-digits` mends it."
        raise DataUnavailable(f"{error}{again}") from None
    if not found:
        raise DataUnavailable(
            f"{file} holds no labelled strokes of the writers train-{writers[0]:02} to train-{writers[-1]:02}. Name "
            f"another file, of {FORM}."
        )
    return found


def _draw_drawings(settings: Settings, on_progress: Callable[[float], None]) -> tuple[Images, Images]:
    """Drawings as people enter them: pen strokes, the program's digits and scribbles to train on; those that validate
    are of other writers."""
    rng = np.random.default_rng(SYNTHETIC_SEED)
    written, shown = (_read_strokes(settings, writers) for writers in (TRAINING_WRITERS, CHOOSING_WRITERS))
    total = sum(DRAWINGS.values()) + CHOOSING_DRAWINGS
    images: list[np.ndarray] = []
    labels: list[int] = []

    def keep(strokes: Strokes, label: int) -> None:
        if len(images) % REPORT == 0:
            on_progress(len(images) / total)
        images.append(enter_image(strokes, rng))
        labels.append(label)

    for i in range(DRAWINGS["pen strokes"]):
        strokes, label = written[i % len(written)]
        keep(vary(strokes, rng), label)
    for i in range(DRAWINGS["digits"]):
        keep(draw_digit(i % 10, rng), i % 10)
    for _ in range(DRAWINGS["scribbles"]):
        keep(scribble(rng), -1)
    for i in range(CHOOSING_DRAWINGS):
        keep(*shown[i % len(shown)])
    x, y, cut = np.array(images), np.array(labels), total - CHOOSING_DRAWINGS
    return (x[:cut], y[:cut]), (x[cut:], y[cut:])


def _load_feedback(settings: Settings, base_count: int) -> Images:
    """What people drew and named, repeated until it weighs something beside the base's images."""
    store = FeedbackStore(settings.database_url)
    try:
        images, digits = store.images()
    finally:
        store.close()
    if not len(images):
        raise DataUnavailable(
            "Nobody has said yet what a drawing shows. Draw some digits and say whether they were read rightly, or "
            "choose other images."
        )
    repeats = max(1, min(FEEDBACK_REPEATS, int(FEEDBACK_SHARE * base_count / len(images))))
    return np.tile(images, (repeats, 1, 1)), np.tile(digits, repeats)


def make_dataset(name: str, *arrays: np.ndarray) -> Dataset:
    """Put a data set together from x_train, y_train, x_test and y_test."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64), name=name, sha256=digest.hexdigest()
    )


def download_mnist(settings: Settings, on_progress: Callable[[float], None]) -> Path:
    """Fetch MNIST into the data folder and return its path. Raises DataUnavailable, StorageFailed."""
    target = settings.data / "mnist.npz"
    otherwise = "name it in DIGIT_LAB_MNIST. Synthetic digits need no download."
    fetch(MNIST_URL, target, DOWNLOAD_BYTES, _read_mnist, on_progress, otherwise)
    return target
