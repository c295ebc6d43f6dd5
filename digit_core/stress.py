"""Stress drawings: digits that the program draws as people enter them when it is hard to read them, always the same."""

import math

import numpy as np

from digit_core.arrays import draw_once
from digit_core.handwriting import BOLD_PENS, SHEET, draw_on_canvas, make_out
from digit_core.photographs import photograph
from digit_core.pictures import read_picture
from digit_core.settings import Settings
from digit_core.strokes import SIDE, turn
from digit_core.synthetic import draw_digit
from digit_core.types import Drawing

FILE = "stress-2.npz"  # another number where they are drawn otherwise
SEED = 7_301  # from which nothing is drawn to train on
WAYS = ("small", "bold", "tilted", "picture", "photograph")
EACH = 8  # of a digit in a way
TILTS = 15, 25  # degrees, to either side
SMALL = 0.2, 0.1  # the drawing's longest side, of the canvas's, and the pen, of the drawing's
PICTURE = (0.4, 1.0), (0.05, 0.2)  # the same, from and to


def load_stress(settings: Settings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The stress drawings: images `(400, 28, 28) uint8`, digits `(400,) int64`, ways `(400,) int64`, indices of WAYS.

    They are drawn, which takes seconds, where the data folder does not hold them, or holds a damaged file.
    """
    shape = len(WAYS), 10, EACH
    count = math.prod(shape)
    kept = draw_once(settings.data / FILE, {"images": (count, SIDE, SIDE)}, lambda: {"images": draw_stress()})
    ways, digits, _ = np.unravel_index(np.arange(count), shape)
    return kept["images"], digits.astype(np.int64), ways.astype(np.int64)


def draw_stress() -> np.ndarray:
    """Draw the images that `load_stress` returns."""
    rng = np.random.default_rng(SEED)
    drawn = ((way, draw_digit(digit, rng)) for way in WAYS for digit in range(10) for _ in range(EACH))
    return np.array([make_out(_bring(strokes, way, rng), strokes) for way, strokes in drawn])


def _bring(strokes: tuple[np.ndarray, ...], way: str, rng: np.random.Generator) -> Drawing:
    if way == "photograph":
        return read_picture(photograph(strokes, rng))
    if way == "tilted":
        return Drawing(turn(strokes, np.radians(rng.uniform(*TILTS) * rng.choice((-1, 1)))))
    extent, share = SMALL
    if way != "small":
        extent = rng.uniform(*PICTURE[0])
        share = rng.uniform(*(BOLD_PENS if way == "bold" else PICTURE[1]))
    return Drawing(image=draw_on_canvas(strokes, SHEET * extent, share, rng))
