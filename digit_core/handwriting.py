"""One drawing as many hands would make it: strokes that vary as writing does, entered in each of the product's ways."""

import numpy as np

from digit_core.errors import EmptyDrawing
from digit_core.photographs import photograph
from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.strokes import place, sketch
from digit_core.synthetic import lean, shake
from digit_core.types import Drawing

PHOTOGRAPHS, PICTURES = 0.2, 0.35  # shares of the ways in which a drawing enters; the rest come as strokes
SHEET = 140  # pixels: a canvas at half its size
PENS = 6 / 280, 40 / 280  # of the canvas's side
EXTENTS = 0.2, 1.0  # of the canvas's side, the drawing's longest
WIDEST = 0.4  # of the longest side that the strokes span: with a wider pen they have no shape
BOLD, BOLD_PENS = 0.4, (0.25, 0.4)  # the share of pictures drawn as with a thumb, and their pens, of that side
FEW = 12  # points: a stroke of fewer has no corners to cut, and no piece to spare
SLOWEST = 6  # lines between the points that a device tells of a stroke, at least
UPRIGHT, LEANING = (0.0,) * 6, (0.12, 0.12, 0.03, 0.2, 0.18, 0.25)  # means and spreads for `lean`
TREMOR = 0.01 * 5**0.5  # of the longest side
JITTERED, JITTER = 0.25, 0.03  # how often a hand or a device shakes at each point, and its largest spread, of that side
SAME_HAND = 0.5  # how far from how it wrote once a hand writes again, of how far another hand does
WAVES = 3  # that bend the plane a drawing is written on
JOINED, BROKEN, AGAIN = 0.08, 0.2, 0.04  # how often a pen is not lifted, or else skips, or else draws it all again
SKIPS = 3  # of a pen that skips, at most
OFF = 0.02  # of the longest side: the spread of where a stroke is put, or put again
LATE = 0.06  # of the longest side: how much too late or too early a stroke starts and ends, at most
HOOKED, HOOK = 0.2, 0.05  # how often an end has a hook, and the spread of where it ends, of that side


def vary(strokes: tuple[np.ndarray, ...], rng: np.random.Generator, far: float = 1.0) -> tuple[np.ndarray, ...]:
    """Write a drawing again, as another hand on another day: slant, proportions, curvature, speed, tremor, gaps.

    strokes: each `(K, 2)`, y down, in any unit; far: how much of all this, from 0 to 1, another hand's; `SAME_HAND` is
    for whoever wrote them. Habits (a pen that skips, hooks, shaking) come as much more seldom, and in full when they
    come; corners are always cut as the speed wants. Returns as many strokes, or
    one less where the pen is not lifted, up to `SKIPS` more where it skips, twice as many where it goes over them
    again; each `(K, 2) float64`, in a box of about 1 x 1 around the origin. Raises EmptyDrawing when there is no point.
    """
    strokes = tuple(stroke for stroke in strokes if len(stroke))
    if not strokes:
        raise EmptyDrawing("There are no strokes to write again. Give some.")
    varied = [_hurry(stroke, far, rng) for stroke in place(strokes, 1.0, (0.0, 0.0))]
    if len(varied) > 1 and rng.random() < far * JOINED:
        varied[:2] = [np.concatenate(varied[:2])]
    elif rng.random() < far * BROKEN:
        for _ in range(rng.integers(SKIPS) + 1):
            varied = _skip(varied, rng)
    elif rng.random() < far * AGAIN:
        varied += [stroke + rng.normal(0, OFF, 2) for stroke in varied]
    lengths = [len(stroke) for stroke in varied]
    points = np.concatenate([_slip(stroke, far, rng) for stroke in varied])
    points += np.repeat(rng.normal(0, far * OFF, (len(varied), 2)), lengths, axis=0)
    points = lean(_wave(points, far, rng), (UPRIGHT, tuple(far * spread for spread in LEANING)), rng)
    points += shake(len(points), far * TREMOR * np.exp(rng.normal(0, 0.5)), rng)
    if rng.random() < far * JITTERED:
        points += rng.normal(0, rng.uniform(0, JITTER), points.shape)
    return tuple(np.split(points, np.cumsum(lengths)[:-1]))


def enter(strokes: tuple[np.ndarray, ...], rng: np.random.Generator) -> Drawing:
    """Bring strokes in as people do: as strokes, as a picture of the canvas with any pen, size and place, or as a
    photograph.

    In a photograph of so little as a dot, `preprocess` may find nothing.
    """
    way = rng.random()
    if way < PHOTOGRAPHS:
        return read_picture(photograph(strokes, rng))
    if way < PHOTOGRAPHS + PICTURES:
        return Drawing(image=_draw_on_canvas(strokes, rng))
    return Drawing(strokes)


def enter_image(strokes: tuple[np.ndarray, ...], rng: np.random.Generator) -> np.ndarray:
    """Bring a drawing in, in a way that is drawn by lot, and return the image that networks read."""
    return make_out(enter(strokes, rng), strokes)


def make_out(drawing: Drawing, strokes: tuple[np.ndarray, ...]) -> np.ndarray:
    """The image that networks read of a drawing of strokes: of these themselves where a photograph shows nothing."""
    try:
        return preprocess(drawing)
    except EmptyDrawing:
        return preprocess(Drawing(strokes))


def _draw_on_canvas(strokes: tuple[np.ndarray, ...], rng: np.random.Generator) -> np.ndarray:
    extent = SHEET * rng.uniform(*EXTENTS)
    share = min(SHEET * rng.uniform(*PENS) / extent, WIDEST)  # the pen's, of the drawing's longest side
    if rng.random() < BOLD:
        share = rng.uniform(*BOLD_PENS)
    return draw_on_canvas(strokes, extent, share, rng)


def draw_on_canvas(
    strokes: tuple[np.ndarray, ...], extent: float, share: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw strokes somewhere on a canvas, `(SHEET, SHEET) uint8`, white on black.

    extent: pixels that their longest side spans, as far as there is room; share: the pen's width, of that side.
    """
    extent = min(extent, SHEET / (1 + share))
    pen = share * extent
    x, y = (SHEET - pen - extent) * rng.random(2) + (pen + extent) / 2
    return sketch(place(strokes, extent, (x, y)), max(1, round(pen)), SHEET)


def _hurry(stroke: np.ndarray, far: float, rng: np.random.Generator) -> np.ndarray:
    """Cut corners as a fast hand does, and tell fewer points, as a slow device does: from all to few, log-uniformly."""
    if len(stroke) < FEW:
        return stroke
    corners, step = rng.integers(0, 3), int(np.exp(rng.uniform(0, far * np.log(len(stroke) / SLOWEST))))
    for _ in range(corners):
        stroke[1:-1] = (stroke[:-2] + 2 * stroke[1:-1] + stroke[2:]) / 4
    return np.concatenate([stroke[:-1:step], stroke[-1:]])


def _skip(strokes: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Let the pen leave out a short piece of the longest stroke."""
    longest = max(range(len(strokes)), key=lambda i: len(strokes[i]))
    stroke = strokes[longest]
    if len(stroke) < FEW:
        return strokes
    start = int(rng.integers(3, len(stroke) - 5))
    end = min(start + int(rng.integers(1, len(stroke) // FEW + 1)), len(stroke) - 2)
    return [*strokes[:longest], stroke[:start], stroke[end:], *strokes[longest + 1 :]]


def _slip(stroke: np.ndarray, far: float, rng: np.random.Generator) -> np.ndarray:
    """Start and end early or late, at times with a hook."""
    if len(stroke) < 4:
        return stroke
    stroke = stroke.copy()
    for end, inner in ((0, 3), (-1, -4)):
        away = stroke[end] - stroke[inner]
        stroke[end] += rng.uniform(-far * LATE, far * LATE) * away / max(float(np.hypot(*away)), 1e-6)
        if rng.random() < far * HOOKED:
            stroke[end] += rng.normal(0, HOOK, 2)
    return stroke


def _wave(points: np.ndarray, far: float, rng: np.random.Generator) -> np.ndarray:
    """Bend the plane smoothly: a few long waves, each with a direction of its own."""
    waves = rng.normal(0, 4.0, (WAVES, 2))  # radians per box
    phases = rng.uniform(0, 2 * np.pi, WAVES)
    heights = rng.normal(0, far * 0.025, (WAVES, 2))
    return points + np.sin(points @ waves.T + phases) @ heights
