"""Strokes -> photographs of them, as telephones take them: paper, lines, pens, light, shadow, blur, noise, JPEG.

The cameras are the program's own, so that networks can learn from them and readers be measured with them where no
photograph is at hand.
"""

from functools import cache

import cv2
import numpy as np

from digit_core.errors import EmptyDrawing
from digit_core.strokes import place, sketch

SIDE = 240  # pixels
EXTENTS = 0.3, 0.85  # of the side, the drawing's longest
PENS = 0.03, 0.2  # of the drawing's longest side: a ballpoint's to a marker's
QUALITY = 40, 95  # of JPEG
SURFACES = {"plain": 0.4, "ruled": 0.15, "squared": 0.15, "dotted": 0.05, "whiteboard": 0.15, "blackboard": 0.1}
# Colours are red, green, blue, 0-255.
PAPERS = ((245, 245, 242), (235, 228, 208), (215, 215, 220), (196, 170, 130), (250, 236, 150))
PENS_INK = ((25, 25, 30), (30, 45, 130), (170, 30, 35), (20, 100, 50), (70, 70, 75), (90, 30, 110))
LINE_INK = ((150, 185, 225), (190, 190, 195), (225, 165, 170), (160, 205, 180))
CHALK = ((240, 240, 235), (245, 230, 150), (170, 210, 240))


def photograph(strokes: tuple[np.ndarray, ...], rng: np.random.Generator) -> bytes:
    """Take a picture of strokes, each `(K, 2)`, y down, in any unit: a JPEG of 240 x 240 pixels.

    Raises EmptyDrawing when there is no stroke.
    """
    if not strokes:
        raise EmptyDrawing("There are no strokes to photograph. Give some.")
    surface = str(rng.choice(list(SURFACES), p=list(SURFACES.values())))
    colour, sheet = _lay_paper(surface, rng)
    ink = _write(strokes, rng)
    scene = sheet + (colour - sheet) * ink[..., None]
    if rng.random() < 0.15:
        _drop_specks(scene, rng)
    scene = cv2.warpPerspective(scene, _point_camera(rng), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    scene *= _light(surface, rng)[..., None]
    if surface == "whiteboard" and rng.random() < 0.5:
        scene += _glare(rng)[..., None]
    if (sigma := rng.uniform(0, 1.6)) > 0.3:
        scene = cv2.GaussianBlur(scene, (0, 0), sigma)
    scene += rng.uniform(1, 7) * _grain(rng)
    pixels = np.clip(scene, 0, 255).astype(np.uint8)[..., ::-1]  # OpenCV writes blue first
    quality = int(rng.integers(*QUALITY))
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _write(strokes: tuple[np.ndarray, ...], rng: np.random.Generator) -> np.ndarray:
    """The ink's share in each pixel, `(SIDE, SIDE) float32` in 0-1: any size, any place, a pen that pales."""
    extent = SIDE * rng.uniform(*EXTENTS)
    pen = extent * np.exp(rng.uniform(*np.log(PENS)))
    rim = extent / 2 + 0.03 * SIDE
    placed = place(strokes, extent - pen, rng.uniform(rim, SIDE - rim, 2))
    ink = sketch(placed, max(2, round(pen)), SIDE)
    pale = 1 - rng.uniform(0, 0.4) * _cloud(rng, 16)
    return ink.astype(np.float32) / 255 * pale


def _lay_paper(surface: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The ink's colour `(3,)` and the empty surface `(SIDE, SIDE, 3) float32`, 0-255."""
    if surface == "blackboard":
        paper = np.array(rng.choice([(35, 60, 50), (40, 42, 45), (30, 35, 60)]), np.float32)
        smear = rng.uniform(0, 25) * _cloud(rng, 6)
        return rng.choice(CHALK).astype(np.float32), paper + smear[..., None]
    if surface == "whiteboard":
        return rng.choice(PENS_INK).astype(np.float32), np.full((SIDE, SIDE, 3), rng.uniform(225, 250), np.float32)
    paper = np.array(rng.choice(PAPERS), np.float32) * rng.uniform(0.9, 1.0)
    sheet = np.empty((SIDE, SIDE, 3), np.float32)
    sheet[:] = paper
    if surface != "plain":
        lines = _rule(surface, rng)[..., None] * rng.uniform(0.4, 1.0)
        sheet += (np.minimum(rng.choice(LINE_INK), paper) - sheet) * lines
    return rng.choice(PENS_INK).astype(np.float32), sheet


def _rule(surface: str, rng: np.random.Generator) -> np.ndarray:
    """Lines, squares or dots, `(SIDE, SIDE) float32` in 0-1."""
    step, wide = rng.uniform(0.06, 0.25) * SIDE, int(rng.integers(1, 3))
    at = np.arange(rng.uniform(0, step), SIDE, step).astype(int)
    lines = np.zeros((SIDE, SIDE), np.float32)
    if surface == "dotted":
        for offset in range(wide):
            lines[np.ix_((at + offset).clip(max=SIDE - 1), (at + offset).clip(max=SIDE - 1))] = 1
        return lines
    for offset in range(wide):
        lines[(at + offset).clip(max=SIDE - 1)] = 1
        if surface == "squared":
            lines[:, (at + offset).clip(max=SIDE - 1)] = 1
    return lines


def _drop_specks(scene: np.ndarray, rng: np.random.Generator) -> None:
    for x, y in rng.integers(0, SIDE, (int(rng.integers(1, 6)), 2)).tolist():
        cv2.circle(scene, (x, y), int(rng.integers(1, 4)), (90, 85, 80), -1, cv2.LINE_AA)


def _point_camera(rng: np.random.Generator) -> np.ndarray:
    corners = np.array([(0, 0), (SIDE, 0), (SIDE, SIDE), (0, SIDE)], np.float32)
    seen = corners + rng.normal(0, 0.025 * SIDE, (4, 2)).astype(np.float32)
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.normal(0, 3.0), 1.0)
    return np.vstack([turn, [0, 0, 1]]) @ cv2.getPerspectiveTransform(corners, seen)


def _light(surface: str, rng: np.random.Generator) -> np.ndarray:
    """How much light falls on each pixel, `(SIDE, SIDE) float32`: from a side, from a lamp, half in a shadow."""
    angle, fall = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    x, y = _plane()
    light = rng.uniform(0.65, 1.0) * (1 + fall * (np.cos(angle) * x + np.sin(angle) * y))
    if rng.random() < 0.4:
        light *= 1 - rng.uniform(0, 0.25) * (x * x + y * y)
    if surface != "blackboard" and rng.random() < 0.35:
        angle, edge, soft = rng.uniform(0, 2 * np.pi), rng.uniform(-0.7, 0.7), rng.uniform(0.02, 0.3)
        dark = rng.uniform(0.15, 0.5)
        light *= 1 - dark / (1 + np.exp((np.cos(angle) * x + np.sin(angle) * y - edge) / soft * 2))
    return light.astype(np.float32)


def _glare(rng: np.random.Generator) -> np.ndarray:
    x, y = _plane()
    at = rng.uniform(-1, 1, 2)
    return (rng.uniform(20, 90) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / rng.uniform(0.03, 0.3))).astype(
        np.float32
    )


def _cloud(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Soft noise, `(SIDE, SIDE) float32` in 0-1."""
    return cv2.resize(rng.random((cells, cells), np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)


def _grain(rng: np.random.Generator) -> np.ndarray:
    """Noise of a sensor, `(SIDE, SIDE, 3) float32` of unit spread: a piece of one sheet, which is drawn once."""
    x, y = rng.integers(0, SIDE, 2)
    return _noise()[y : y + SIDE, x : x + SIDE]


@cache
def _noise() -> np.ndarray:
    grey = np.random.default_rng(0).normal(0, 1, (2 * SIDE, 2 * SIDE, 1))
    colour = np.random.default_rng(1).normal(0, 0.5, (2 * SIDE, 2 * SIDE, 3))
    return cv2.GaussianBlur((grey + colour).astype(np.float32), (0, 0), 0.6) * 2


@cache
def _plane() -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's x and y, from -1 to 1."""
    line = np.linspace(-1, 1, SIDE, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    return x, y
