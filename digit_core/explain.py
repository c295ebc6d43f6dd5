"""Why a model said what it said: the ink that decided, the digits it is like, what would change the answer.

On LiteRT and NumPy alone: a model is asked again about the same drawing, a little changed.
"""

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np

from digit_core.augmentation import change_pen
from digit_core.bank import load_bank
from digit_core.classifier import Classifier
from digit_core.datasets import find_mnist, load_mnist
from digit_core.settings import Settings
from digit_core.strokes import SIDE

REACH = 2  # pixels around each one of ink that are covered with it
LEAST = 1e-7  # below it, one probability is as good as another
ALBUM = 6_000  # digits among which the most alike are looked for
ZOOM = 6  # times, that a picture of ink is larger than the image
FULL = 0.01  # nats: what weighs less is not painted in full colour
FOR, AGAINST = (230, 159, 0), (0, 136, 204)  # Okabe and Ito's orange and blue, red first
TURN = 12  # degrees
STEPS = 24  # of a replay

_looking = threading.Lock()  # one opens an album or looks through it, others wait

Strokes = tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class Change:
    """A drawing changed in one way, `(28, 28) uint8`, and what a model says of it then, with confidence in 0-1."""

    name: str
    image: np.ndarray
    digit: int
    confidence: float


def weigh_ink(classifier: Classifier, image: np.ndarray, digit: int, runner_up: int) -> tuple[np.ndarray, np.ndarray]:
    """Tell what each piece of ink does for an answer, and for it against another: twice `(28, 28) float32` in nats, 0
    where there is no ink.

    Covers the image `(28, 28) uint8` with a window around each pixel of ink in turn (occlusion, Zeiler and Fergus
    2014). A pixel's weight is how much the digit's log-probability, or its log-odds against the other, falls in the
    mean when the pixel is covered: below 0 it speaks against the answer.
    """
    ink = image > 0
    windows = _windows()[ink]
    covered = np.where(windows, 0, image).astype(np.uint8)
    logs = np.log(np.maximum(classifier.predict_probabilities(np.concatenate([image[None], covered])), LEAST))
    told = np.stack([logs[:, digit], logs[:, digit] - logs[:, runner_up]], axis=1)
    falls = np.tensordot((told[0] - told[1:]).T, windows, axes=1) / np.maximum(windows.sum(axis=0), 1)
    alone, against = np.where(ink, falls, 0).astype(np.float32)
    return alone, against


@cache
def _windows() -> np.ndarray:
    """The square around each pixel of an image, as far as it lies in it, `(28, 28, 28, 28) bool`."""
    near = np.abs(np.subtract.outer(np.arange(SIDE), np.arange(SIDE))) <= REACH
    return near[:, None, :, None] & near[:, None, :]


def paint_ink(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Paint an image's ink by its weights, both `(28, 28)`: `(168, 168, 3) uint8`, red first, on black.

    Orange speaks for the answer, blue against it, the more colourful, the more it weighs beside the heaviest, or beside
    FULL, if that is more; white ink weighs nothing.
    """
    sizes = [cv2.resize(each.astype(np.float32), None, fx=ZOOM, fy=ZOOM) for each in (image / 255, weights)]
    weight = sizes[1][..., None]
    share = np.minimum(np.abs(weight) / max(float(np.abs(weights).max()), FULL), 1) ** 0.5
    colour = np.where(weight > 0, FOR, AGAINST) * share + 255 * (1 - share)
    return (np.clip(sizes[0], 0, 1)[..., None] * colour).round().astype(np.uint8)


def try_changes(classifier: Classifier, image: np.ndarray) -> list[Change]:
    """Read a drawing `(28, 28) uint8` again, changed in the ways in which hands differ, one at a time."""
    changed = _change(image)
    said = classifier.predict_all(np.array(list(changed.values())))
    return [
        Change(name, changed_image, prediction.digit, prediction.confidence)
        for (name, changed_image), prediction in zip(changed.items(), said, strict=True)
    ]


def _change(image: np.ndarray) -> dict[str, np.ndarray]:
    """The ways, and the images `(28, 28) uint8`, of which the first is as it was."""
    moments = cv2.moments(image)
    slant = moments["mu11"] / moments["mu02"] if moments["mu02"] else 0.0
    x, y, width, height = cv2.boundingRect((image > 0).astype(np.uint8))
    middle = SIDE / 2
    shift = np.array([[1, 0, middle - x - width / 2], [0, 1, middle - y - height / 2]])

    def warp(transform: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.warpAffine(image, transform, (SIDE, SIDE), flags=cv2.INTER_LINEAR))

    def about_middle(transform: list[list[float]]) -> np.ndarray:
        matrix = np.array(transform)
        centre = np.array([middle - 0.5, middle - 0.5])
        return warp(np.hstack([matrix, (centre - matrix @ centre)[:, None]]))

    def turn(degrees: float) -> np.ndarray:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        return about_middle([[cosine, -sine], [sine, cosine]])

    return {
        "as it is": image,
        "thicker": change_pen(image, 1.0, 1.0),
        "thinner": change_pen(image, 0.0, 1.0),
        "upright": about_middle([[1, -slant], [0, 1]]),
        "turned left": turn(-TURN),
        "turned right": turn(TURN),
        "larger": about_middle([[1.15, 0], [0, 1.15]]),
        "smaller": about_middle([[0.85, 0], [0, 0.85]]),
        "centred by its box": warp(shift),
    }


@dataclass(frozen=True, eq=False)
class Album:
    """Labelled digits to compare with, `(N, 28, 28) uint8` and `(N,) int64`, and where they are from."""

    images: np.ndarray
    labels: np.ndarray
    origin: str


def load_album(settings: Settings) -> Album:
    """MNIST's first training images where they are on this machine, else digits that the program draws.

    Raises DataUnavailable when what is named as MNIST is not.
    """
    mnist = find_mnist(settings)
    with _looking:
        return _open_album(settings, mnist if mnist and mnist.is_file() else None)


@lru_cache(maxsize=1)
def _open_album(settings: Settings, mnist_file: Path | None) -> Album:
    if mnist_file:
        mnist = load_mnist(settings, mnist_file)
        return Album(mnist.x_train[:ALBUM].copy(), mnist.y_train[:ALBUM].copy(), "MNIST")
    bank = load_bank(settings)
    return Album(bank.digits, bank.labels, "synthetic digits")


def find_lookalikes(classifier: Classifier, image: np.ndarray, album: Album, count: int = 5) -> Album:
    """The digits of an album that a network finds most like an image `(28, 28) uint8`, the nearest first.

    By the cosine between its features, those of the album computed once for each network. None where the network finds
    nothing in the image, as in much that is no digit: all features are 0. Raises ModelUnavailable for a network that
    does not tell features.
    """
    seen = _normalise(classifier.network.features(image[None]))[0]
    if not seen.any():
        return Album(album.images[:0], album.labels[:0], album.origin)
    with _looking:
        features = _look_through(classifier, album)
    nearest = np.argsort(-(features @ seen), kind="stable")[:count]
    return Album(album.images[nearest], album.labels[nearest], album.origin)


@lru_cache(maxsize=4)
def _look_through(classifier: Classifier, album: Album) -> np.ndarray:
    return _normalise(classifier.network.features(album.images))


def _normalise(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), LEAST)


def retrace(strokes: Sequence[np.ndarray], steps: int = STEPS) -> list[Strokes]:
    """A drawing as it grew: its strokes, each `(K, 2)`, up to more and more of their points; the last is the whole.

    Returns so many steps, or as many as there are points if these are fewer.
    """
    points = sum(map(len, strokes))
    ends = np.unique(np.ceil(np.linspace(0, points, min(steps, points) + 1)[1:]).astype(int))
    starts = np.cumsum([0, *map(len, strokes)])
    return [
        tuple(stroke[: end - start] for stroke, start in zip(strokes, starts, strict=False) if start < end)
        for end in ends.tolist()
    ]
