"""How well the models read: MNIST, and real pen strokes of writers whom nothing was trained on, in all the ways in.

python -m tests.benchmarks.recognition [MODEL ...]     needs DIGIT_LAB_MNIST and DIGIT_LAB_PEN_DIGITS

Prints Markdown. Beside the models stands Keras's plain convnet, trained in the same run for twelve epochs: behind this
product's preprocessing, and behind what most apps do, which is to shrink the picture. The same strokes then come as
other hands would draw them, or other devices tell them. Photographs, letters and scribbles are of the kinds that the
recipes train on, drawn with other seeds: how well cameras and hands of other kinds are read, they do not tell.

With `--writers 21-24`, or some of them, MNIST's last 5,000 training images stand in place of its test images: so it
serves to choose by; recipes calibrate with these, so that calibration and confidence look better there than they are.
Takes about seven minutes on two cores; `--no-plain` leaves the convnet out.
"""

import argparse
import gzip
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from digit_core.architectures import import_keras
from digit_core.arrays import load_arrays
from digit_core.classifier import load_classifier
from digit_core.datasets import CHOOSING_WRITERS, load_mnist
from digit_core.errors import DigitError
from digit_core.evaluation import evaluate
from digit_core.measuring import Labelled
from digit_core.model_store import STARTER_IDS
from digit_core.pen_digits import find_pen_digits
from digit_core.photographs import photograph
from digit_core.pictures import picture_from_array, read_picture
from digit_core.preprocessing import preprocess
from digit_core.presets import CHOOSING_IMAGES
from digit_core.scribbles import KINDS, scribble
from digit_core.settings import Settings, read_settings
from digit_core.strokes import place, read_strokes, sketch, turn
from digit_core.training import to_input
from digit_core.types import Dataset, Drawing
from tests.benchmarks.training import plain_convnet
from tests.benchmarks.trust import print_trust

MEASURING = range(25, 31)  # writers
SIDE = 280  # canvas pixels
EDGE = 4  # pixels between ink and the canvas's corner
PENS = (6, 20, 40)  # canvas pixels
PEN, LARGE = 20, 0.75  # canvas pixels, and the share of the canvas that a big drawing spans
WIDEST = 0.4  # of the longest side that the strokes span: a wider pen leaves nothing to read
TILT = 15  # degrees
SURE = 0.9  # confidence from which a wrong answer misleads
PLAIN_EPOCHS = 12
SCRIBBLES = 1_000
KMNIST_BYTES = 50_000_000
SEED = 3_000  # of photographs and scribbles
BIG = "strokes, big and centred"
SHAKING = 0.02  # of a drawing's size: how far off each point of a shaking hand is along each axis, root mean square
FEW = 8  # points of a stroke, as a slow device tells it
GAPS, PARTS = 2, 12  # that a pen leaves out of a stroke, and that a stroke has
LONG = 24  # points of a stroke that has room for gaps, at least
WIDER = 1.6  # times as wide as it was drawn, or as narrow

Strokes = tuple[np.ndarray, ...]
Change = Callable[[Strokes, np.random.Generator], Strokes]
Enter = Callable[[Strokes, np.random.Generator], tuple[Drawing, np.ndarray]]
Read = Callable[[np.ndarray], np.ndarray]  # images `(N, 28, 28) uint8` -> probabilities `(N, 10)`


@dataclass(frozen=True, eq=False)
class Reader:
    """What is measured: its name, how a drawing becomes an image, and what reads the image."""

    name: str
    see: Callable[[Drawing, np.ndarray], np.ndarray]
    read: Read


def read_writers(path: Path, writers: Sequence[int]) -> tuple[list[Strokes], np.ndarray, np.ndarray]:
    """Strokes, labels and writers of those drawings that some people made."""
    with gzip.open(path, "rt") as file:
        entries = [json.loads(line) for line in file]
    numbers = [int(entry["writer"].rpartition("-")[2]) for entry in entries]
    kept = [(entry, number) for entry, number in zip(entries, numbers, strict=True) if number in writers]
    labels, by = (
        np.array(column) for column in zip(*((entry["label"], number) for entry, number in kept), strict=True)
    )
    return [read_strokes(entry["strokes"]) for entry, _ in kept], labels, by


def shake(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    size = np.ptp(np.concatenate(strokes), axis=0).max()
    return tuple(stroke + rng.normal(0, SHAKING * size, stroke.shape) for stroke in strokes)


def thin_out(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    return tuple(stroke[np.unique(np.linspace(0, len(stroke) - 1, FEW).round().astype(int))] for stroke in strokes)


def skip(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    """Leave one of a long stroke's parts out of each of as many stretches as there are gaps, never at its ends."""
    pieces: list[np.ndarray] = []
    for stroke in strokes:
        stretch = PARTS // GAPS
        starts = rng.integers(1, stretch - 1, GAPS) + stretch * np.arange(GAPS)
        edges = np.stack([starts, starts + 1], axis=1).ravel() * len(stroke) // PARTS
        pieces += np.split(stroke, edges)[::2] if len(stroke) >= LONG else [stroke]
    return tuple(pieces)


def join(strokes: Strokes, rng: np.random.Generator) -> Strokes:
    return (np.concatenate(strokes),)


def widen(factor: float) -> Change:
    return lambda strokes, rng: tuple(stroke * (factor, 1) for stroke in strokes)


HANDS: dict[str, Change] = {
    f"shaken by {100 * SHAKING:.0f} % of its size": shake,
    f"told by {FEW} points a stroke": thin_out,
    f"{WIDER} times as wide": widen(WIDER),
    f"{WIDER} times as narrow": widen(1 / WIDER),
    f"with {GAPS} gaps in each long stroke": skip,
    "in one go, without a lift": join,
}


def lay(strokes: Strokes, pen: int, share: float, corner: bool) -> Strokes:
    """Put strokes onto the canvas so that they span a share of it, in the middle or in the corner, their ink inside."""
    extent = min(share * SIDE, SIDE - 2 * EDGE - pen)
    box = np.ptp(np.concatenate(strokes), axis=0)
    x, y = box / box.max() * extent / 2 + EDGE + pen / 2
    return place(strokes, extent, (x, y) if corner else (SIDE / 2, SIDE / 2))


def lay_big(strokes: Strokes) -> Strokes:
    """Put strokes onto the canvas as most people draw, big and centred, for the canvas's own pen."""
    return lay(strokes, PEN, LARGE, corner=False)


def as_strokes(pen: int, share: float, corner: bool = False, degrees: float = 0.0) -> Enter:
    """How strokes come in: as they are, laid on the canvas."""

    def enter(strokes: Strokes, rng: np.random.Generator) -> tuple[Drawing, np.ndarray]:
        laid = lay(turn(strokes, np.radians(degrees)), pen, share, corner)
        return Drawing(laid), sketch(laid, pen, SIDE)

    return enter


def conditions() -> Iterator[tuple[str, str, Enter]]:
    """Group, name, and how strokes come in: as a drawing, and as the picture that an app without strokes would have."""

    def as_picture(pen: int, share: float, corner: bool = False, degrees: float = 0.0) -> Enter:
        def enter(strokes: Strokes, rng: np.random.Generator) -> tuple[Drawing, np.ndarray]:
            picture = sketch(lay(turn(strokes, np.radians(degrees)), pen, share, corner), pen, SIDE)
            return picture_from_array(picture), picture

        return enter

    def as_photograph(strokes: Strokes, rng: np.random.Generator) -> tuple[Drawing, np.ndarray]:
        content = photograph(strokes, rng)
        return read_picture(content), cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)

    yield "strokes", BIG, as_strokes(PEN, LARGE)
    for pen in PENS:
        yield "strokes", f"strokes, small, in a corner, pen of {pen} px", as_strokes(pen, _smallest(pen), corner=True)
    for degrees in (-TILT, TILT):
        yield "tilts", f"strokes, tilted by {degrees}°", as_strokes(PEN, LARGE, degrees=degrees)
    for pen in PENS:
        for size, share in {"small": _smallest(pen), "big": LARGE, "full": 1.0}.items():
            yield "pictures", f"picture, {size}, pen of {pen} px", as_picture(pen, share, corner=size == "small")
    for degrees in (-TILT, TILT):
        yield "pictures", f"picture, tilted by {degrees}°", as_picture(PEN, LARGE, degrees=degrees)
    yield "photographs", "photographs", as_photograph


def _smallest(pen: int) -> float:
    return max(0.2, pen / WIDEST / SIDE)


def hands() -> Iterator[tuple[str, Enter]]:
    """Name, and how strokes come in, big and centred, that other hands drew, or other devices told."""
    big = as_strokes(PEN, LARGE)

    def by_hand(change: Change) -> Enter:
        return lambda strokes, rng: big(change(strokes, rng), rng)

    for name, change in HANDS.items():
        yield name, by_hand(change)


def prepare(drawing: Drawing, picture: np.ndarray) -> np.ndarray:
    """This product's way to 28 x 28; black where it finds nothing."""
    try:
        return preprocess(drawing)
    except DigitError:
        return np.zeros((28, 28), np.uint8)


def shrink(drawing: Drawing, picture: np.ndarray) -> np.ndarray:
    """The usual way to 28 x 28: the whole picture, made small, its paper dark."""
    grey = cv2.bitwise_not(picture) if picture.mean() > 127 else picture
    return cv2.resize(grey, (28, 28), interpolation=cv2.INTER_AREA)


def train_plainly(dataset: Dataset) -> Read:
    """Keras's convnet example, as it stands there."""
    keras = import_keras()
    keras.utils.set_random_seed(0)
    network = plain_convnet(keras)
    network.compile("adam", loss="sparse_categorical_crossentropy")
    network.fit(to_input(dataset.x_train), dataset.y_train, batch_size=128, epochs=PLAIN_EPOCHS, verbose=0)
    return lambda images: network.predict(to_input(images), batch_size=500, verbose=0)


def measure(settings: Settings, readers: list[Reader], images: np.ndarray, labels: np.ndarray, writers: range) -> None:
    """Print the table of all readers: MNIST's images, then the writers' drawings in every condition."""
    strokes, y_true, by = read_writers(find_pen_digits(settings) or Path(), writers)

    def row(name: str, figures: list[str]) -> None:
        print(f"| {name} | {' | '.join(figures)} |", flush=True)

    def share(right: np.ndarray) -> str:
        return f"{100 * right.mean():.2f}"

    row("right, %", [reader.name for reader in readers])
    print(f"|---|{'---:|' * len(readers)}")
    row(f"MNIST, {len(labels):,} images", [share(r.read(images).argmax(axis=1) == labels) for r in readers])
    ours = [r for r in readers if r.see is prepare]
    through = np.array([preprocess(Drawing(image=image)) for image in images])
    figures = {r.name: share(r.read(through).argmax(axis=1) == labels) for r in ours}
    row("the same, sent through preprocessing", [figures.get(r.name, "") for r in readers])

    answers: dict[str, dict[str, np.ndarray]] = {reader.name: {} for reader in readers}

    def measure_all(name: str, enter: Enter) -> None:
        rng = np.random.default_rng(SEED)
        entered = [enter(each, rng) for each in strokes]
        seen = {see: np.array([see(*each) for each in entered]) for see in {reader.see for reader in readers}}
        for reader in readers:
            answers[reader.name][name] = reader.read(seen[reader.see])
        row(name, [share(answers[r.name][name].argmax(axis=1) == y_true) for r in readers])

    groups: dict[str, list[str]] = {}
    for group, name, enter in conditions():
        groups.setdefault(group, []).append(name)
        measure_all(name, enter)

    def worst_writer(reader: Reader) -> float:
        right = answers[reader.name][BIG].argmax(axis=1) == y_true
        return min(float(right[by == writer].mean()) for writer in writers)

    def misleading(reader: Reader, name: str) -> float:
        said = answers[reader.name][name]
        return float(((said.argmax(axis=1) != y_true) & (said.max(axis=1) > SURE)).mean())

    every = list(itertools.chain(*groups.values()))
    row("worst writer, " + BIG, [f"{100 * worst_writer(r):.2f}" for r in readers])
    row(f"wrong with confidence above {SURE}, {BIG}", [f"{100 * misleading(r, BIG):.2f}" for r in readers])
    row("the same, all drawings", [f"{100 * np.mean([misleading(r, name) for name in every]):.2f}" for r in readers])
    labels_of_all = np.tile(y_true, len(every))
    evaluations = [evaluate(labels_of_all, np.concatenate([answers[r.name][n] for n in every])) for r in readers]
    row("calibration error (ECE), all drawings", [f"{100 * each.ece:.2f}" for each in evaluations])
    row("right, all drawings", [f"{100 * each.accuracy:.2f}" for each in evaluations])
    no_digits = [_no_digit(i) for i in range(SCRIBBLES)]
    sure = [(r.read(np.array([r.see(*each) for each in no_digits])).max(axis=1) > SURE).mean() for r in readers]
    row(f"what is no digit taken for one with confidence above {SURE}", [f"{100 * each:.2f}" for each in sure])

    several = np.mean([len(each) > 1 for each in strokes])
    print("\nThe same strokes, big and centred, as other hands would draw them, or other devices tell them. A gap")
    print(f"takes one of {PARTS} parts of a stroke; {several:.0%} of the drawings have more than one stroke.\n")
    row("right, %", [reader.name for reader in readers])
    print(f"|---|{'---:|' * len(readers)}")
    for name, enter in hands():
        measure_all(name, enter)

    print("\nPoints lost against strokes big and centred, paired, in each group's worst condition. The 95 % intervals")
    print("take drawings as independent, and do not know that the condition was picked as the worst.\n")
    for reader, (group, names) in itertools.product(readers, groups.items()):
        right = {name: answers[reader.name][name].argmax(axis=1) == y_true for name in (BIG, *names)}
        worst = min(names, key=lambda name: right[name].mean())
        lost = 100 * (right[BIG].astype(float) - right[worst])
        print(f"- {reader.name}, {group}: {lost.mean():.2f} ± {1.96 * lost.std() / len(lost) ** 0.5:.2f} ({worst})")


def _no_digit(seed: int, kind: str | None = None) -> tuple[Drawing, np.ndarray]:
    strokes = lay_big(scribble(np.random.default_rng([SEED, seed]), kind))
    return Drawing(strokes), sketch(strokes, PEN, SIDE)


def measure_trust(
    models: Sequence[str], settings: Settings, kmnist: Path | None, mnist: Labelled, writers: range
) -> None:
    """Print how far the models' word is to be trusted, on MNIST, strokes big and centred, and what is no digit."""
    strokes, y_true, _ = read_writers(find_pen_digits(settings) or Path(), writers)
    seen = np.array([prepare(Drawing(lay_big(each)), np.empty(0)) for each in strokes])
    others = {kind: np.array([prepare(*_no_digit(i, kind)) for i in range(SCRIBBLES)]) for kind in KINDS}
    if kmnist:
        images = load_arrays(kmnist, ("x",), KMNIST_BYTES, "Name a file with x (N, 28, 28) uint8.")["x"]
        others["KMNIST"] = np.array([prepare(Drawing(image=image), np.empty(0)) for image in images])
    classifiers = {model_id: load_classifier(model_id, settings) for model_id in models}
    print_trust(classifiers, {"MNIST": mnist, BIG: (seen, y_true)}, others)


def main() -> None:
    parser = argparse.ArgumentParser(description="How well models read.")
    parser.add_argument("models", nargs="*", default=list(STARTER_IDS))
    parser.add_argument("--writers", default=f"{MEASURING[0]}-{MEASURING[-1]}")
    parser.add_argument("--no-plain", action="store_true")
    parser.add_argument("--kmnist", type=Path, help="kmnist_test.npz: pictures that are no digits, of another kind")
    chosen = parser.parse_args()
    settings = read_settings()
    if find_pen_digits(settings) is None:
        sys.exit("Fetch the strokes with `python -m digit_core data fetch pen-digits`, or set DIGIT_LAB_PEN_DIGITS.")
    first, last = map(int, chosen.writers.split("-"))
    writers = range(first, last + 1)
    mnist = load_mnist(settings)
    images, labels = mnist.x_test, mnist.y_test
    if set(writers) <= set(CHOOSING_WRITERS):
        images, labels = mnist.x_train[-CHOOSING_IMAGES:], mnist.y_train[-CHOOSING_IMAGES:]
    readers = [
        Reader(model_id, prepare, load_classifier(model_id, settings).predict_probabilities)
        for model_id in chosen.models
    ]
    if not chosen.no_plain:
        plain = train_plainly(mnist)
        readers += [Reader("plain convnet, prepared", prepare, plain), Reader("plain convnet, shrunk", shrink, plain)]
    measure(settings, readers, images, labels, writers)
    measure_trust(chosen.models, settings, chosen.kmnist, (images, labels), writers)


if __name__ == "__main__":
    main()
