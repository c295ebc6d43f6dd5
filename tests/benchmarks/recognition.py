"""How well the models read: MNIST, and real pen strokes of writers whom nothing was trained on.

python -m tests.benchmarks.recognition     needs DIGIT_LAB_MNIST and DIGIT_LAB_PEN_DIGITS, prints a Markdown table
"""

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from digit_core.classifier import Classifier, load_classifier
from digit_core.datasets import load_mnist
from digit_core.model_store import STARTER_IDS
from digit_core.preprocessing import preprocess
from digit_core.settings import read_settings
from digit_core.strokes import read_strokes, sketch
from digit_core.types import Drawing

WRITERS = range(25, 31)
SIDE = 280  # canvas pixels
EDGE = 4  # pixels between ink and the canvas's corner
PENS = (6, 20, 32)  # canvas pixels


def read_writers(path: Path) -> tuple[list[tuple[np.ndarray, ...]], np.ndarray]:
    """Strokes and labels of the writers kept for measuring."""
    with gzip.open(path, "rt") as file:
        entries = [json.loads(line) for line in file]
    kept = [entry for entry in entries if int(entry["writer"].rpartition("-")[2]) in WRITERS]
    return [read_strokes(entry["strokes"]) for entry in kept], np.array([entry["label"] for entry in kept])


def place(strokes: tuple[np.ndarray, ...], share: float, corner: bool, pen: int) -> tuple[np.ndarray, ...]:
    """Scale strokes to a share of the canvas, into its middle or its corner, the ink of that pen inside."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    zoom = share * SIDE / (high - low).max()
    start = np.full(2, EDGE + pen / 2) if corner else SIDE / 2 - (high - low) / 2 * zoom
    return tuple((stroke - low) * zoom + start for stroke in strokes)


def conditions() -> Iterator[tuple[str, float, bool, int, bool]]:
    """Name, share of the canvas, in the corner, pen, as a picture."""
    for share, corner, where in ((0.75, False, "75 %, centred"), (0.35, True, "35 %, in a corner")):
        yield f"strokes, {where}", share, corner, PENS[1], False
    for pen in PENS:
        for share, corner, where in ((0.75, False, "75 %, centred"), (0.35, True, "35 %, in a corner")):
            yield f"picture, {where}, pen of {pen} px", share, corner, pen, True


def accuracy(classifier: Classifier, drawings: list[Drawing], labels: np.ndarray) -> float:
    """Share of drawings read right, in per cent."""
    images = np.array([preprocess(drawing) for drawing in drawings])
    return 100 * float((classifier.predict_probabilities(images).argmax(axis=1) == labels).mean())


def main() -> None:
    settings = read_settings()
    if settings.pen_digits is None:
        sys.exit("Set DIGIT_LAB_PEN_DIGITS to the strokes file (see README, Results).")
    mnist = load_mnist(settings)
    strokes, labels = read_writers(settings.pen_digits)
    classifiers = [load_classifier(model_id, settings) for model_id in sorted(STARTER_IDS)]
    print(f"| right, % | {' | '.join(classifier.info.model_id.upper() for classifier in classifiers)} |")
    print(f"|---|{'---:|' * len(classifiers)}")

    def row(name: str, figures: list[float]) -> None:
        print(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |", flush=True)

    test = [Drawing(image=image) for image in mnist.x_test]
    raw = [classifier.predict_probabilities(mnist.x_test) for classifier in classifiers]
    row("MNIST test, 10,000", [100 * float((answer.argmax(axis=1) == mnist.y_test).mean()) for answer in raw])
    row("MNIST test, sent through preprocessing", [accuracy(each, test, mnist.y_test) for each in classifiers])
    for name, share, corner, pen, as_picture in conditions():
        placed = [place(drawing, share, corner, pen) for drawing in strokes]
        drawings = [Drawing(image=sketch(each, pen, SIDE)) if as_picture else Drawing(each) for each in placed]
        row(f"{len(labels):,} drawings, {name}", [accuracy(each, drawings, labels) for each in classifiers])


if __name__ == "__main__":
    main()
