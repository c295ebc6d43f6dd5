"""Digits, and things that are no digits, as many hands would enter them: drawn by the program once, and kept."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from digit_core.arrays import draw_once
from digit_core.handwriting import enter_image
from digit_core.scribbles import scribble
from digit_core.settings import Settings
from digit_core.strokes import SIDE
from digit_core.synthetic import draw_digit

DIGITS, OTHERS = 4_000, 8_000
SEED = 716
BANK_FILE = "bank-4.npz"  # another number for what is drawn otherwise
REPORT = 500  # drawings between two reports of progress


@dataclass(frozen=True, eq=False)
class Bank:
    """Images `(N, 28, 28) uint8`, ink bright: digits with their labels `(N,) int64`, and others, which are none."""

    digits: np.ndarray
    labels: np.ndarray
    others: np.ndarray


def load_bank(settings: Settings, on_progress: Callable[[float], None] = lambda share: None) -> Bank:
    """Read the bank. At first, and when its file is damaged, it is drawn, which takes some twenty seconds.

    `on_progress` is told the share drawn, 0-1.
    """
    shapes = {"digits": (DIGITS, SIDE, SIDE), "others": (OTHERS, SIDE, SIDE)}
    kept = draw_once(settings.data / BANK_FILE, shapes, lambda: _draw(on_progress))
    return Bank(kept["digits"], np.arange(DIGITS, dtype=np.int64) % 10, kept["others"])


def _draw(on_progress: Callable[[float], None]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(SEED)
    images = []
    for i in range(DIGITS + OTHERS):
        if i % REPORT == 0:
            on_progress(i / (DIGITS + OTHERS))
        images.append(enter_image(draw_digit(i % 10, rng) if i < DIGITS else scribble(rng), rng))
    return {"digits": np.array(images[:DIGITS]), "others": np.array(images[DIGITS:])}
