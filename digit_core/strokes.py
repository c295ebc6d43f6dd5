"""Pen strokes -> the 28 x 28 image that MNIST would have made of them.

The pen's width, the drawing's size and the hand's trembling are forgotten: what was drawn is scaled to MNIST's box and
drawn again with MNIST's own pen. The way follows LeCun et al. 1998 (20-pixel box, centre of mass in 28 x 28).
"""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from digit_core.errors import EmptyDrawing, TooLarge, UnreadableInput

MAX_POINTS = 10_000
FARTHEST = 1e9  # in any unit: no coordinate lies beyond
SMALLEST = 1e-6  # in any unit: a drawing below it is a dot
BOX = 20  # pixels, the longest side of the ink, as in MNIST
SIDE = 28
CENTRE = SIDE / 2 + 0.5  # pixels from the edge: MNIST's mean centre of mass is pixel index 14.0
PEN = 2.4  # pixels, the pen of MNIST's middle half
SCALE = 8  # supersampling
TREMBLE = PEN / 4  # pixels along strokes of which one spans the box: the spread of the weights that smooth them
SAMPLES = 3  # points of a smoothed stroke in each spread
LONGEST = 1_000  # spreads that all strokes have together: longer ones, ten times a digit's, are not smoothed
MARGIN = 18  # pixels around the box, so that the window around any centre of mass lies inside
SHIFT = 4  # fractional bits of OpenCV's coordinates


def read_strokes(raw: Any) -> tuple[np.ndarray, ...]:
    """Check strokes that came as nested lists, `[[[x, y], ...], ...]`, and return each as `(K, 2) float64`.

    Strokes without a point are left out. Raises UnreadableInput when they are no such lists of finite numbers, TooLarge
    beyond 10,000 points.
    """
    shape = "Strokes must be a list of strokes, each a list of [x, y] points"
    if not _is_list(raw):
        raise UnreadableInput(f"{shape}. Got {type(raw).__name__}.")
    if not all(_is_list(stroke) for stroke in raw):
        raise UnreadableInput(f"{shape}. One of the {len(raw)} strokes is not a list.")
    if (count := max(len(raw), sum(len(stroke) for stroke in raw))) > MAX_POINTS:
        raise TooLarge(f"The drawing has {count:,} points. Send at most {MAX_POINTS:,}.")
    strokes = []
    for stroke in raw:
        if len(stroke) == 0:
            continue
        if isinstance(stroke, np.ndarray) and not _is_points(stroke):
            raise UnreadableInput(f"{shape}. One stroke is of {stroke.dtype}, and has the shape {stroke.shape}.")
        if not isinstance(stroke, np.ndarray) and not all(map(_is_point, stroke)):
            raise UnreadableInput(f"{shape}. One stroke holds something else.")
        try:
            points = np.asarray(stroke, np.float64)
        except OverflowError:
            points = np.full((1, 2), np.inf)
        if not (np.abs(points) <= FARTHEST).all():
            raise UnreadableInput("A stroke holds a coordinate that is not a finite number below 1e9. Draw it again.")
        strokes.append(points)
    return tuple(strokes)


def _is_list(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim > 0
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_points(array: np.ndarray) -> bool:
    return array.ndim == 2 and array.shape[1] == 2 and array.dtype.kind in "iuf"


def _is_point(value: Any) -> bool:
    """Looked at number by number: NumPy would make room for the longest string among them, for each."""
    if isinstance(value, np.ndarray):
        return value.shape == (2,) and value.dtype.kind in "iuf"
    if type(value) is not list and not _is_list(value):
        return False
    return len(value) == 2 and _is_number(value[0]) and _is_number(value[1])


def _is_number(value: Any) -> bool:
    return type(value) in (float, int) or isinstance(value, np.integer | np.floating)


def strokes_from_canvas(canvas: Any) -> tuple[np.ndarray, ...]:
    """Read the strokes out of the drawing canvas's JSON, each `(K, 2) float64` in canvas pixels, y down.

    Strokes that were moved, scaled or turned with the canvas's own tools come out where they are seen. A path shorter
    than a quarter of its pen's width looks like a dot, and is one: a single point. Raises UnreadableInput when the
    JSON is not what the canvas sends, TooLarge beyond 10,000 points.
    """
    try:
        paths = [item for item in canvas["objects"] if item["type"].lower() == "path" and item["path"]]
        if (count := sum(len(path["path"]) for path in paths)) > MAX_POINTS:
            raise TooLarge(f"The drawing has {count:,} points. Clear the canvas and draw one digit.")
        steps = min(8, MAX_POINTS // max(count, 1))
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused below
            strokes = tuple(_place(path, steps) for path in paths)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
        raise UnreadableInput("The canvas sent a drawing that cannot be read. Clear it and draw again.") from None
    if not all((np.abs(stroke) <= FARTHEST).all() for stroke in strokes):
        raise UnreadableInput("The canvas sent a coordinate that is not a finite number. Clear it and draw again.")
    return strokes


def render(strokes: Sequence[np.ndarray]) -> np.ndarray:
    """Draw strokes as MNIST would: smoothed, in a 20-pixel box, with MNIST's pen, the centre of mass in the middle.

    strokes: each `(K, 2)` finite numbers, y down, in any unit. Returns `(28, 28) uint8`, ink bright. Strokes that are
    all one point give a dot. Raises EmptyDrawing when there is no point.
    """
    strokes = [stroke for stroke in strokes if len(stroke)]
    if not strokes:
        raise EmptyDrawing("The drawing has no ink. Draw a digit.")
    bent = [stroke for stroke in strokes if len(stroke) > 2]
    largest = max((np.ptp(stroke, axis=0).max() for stroke in bent), default=0.0)  # a far dot is left out of account
    spread = largest * TREMBLE / (BOX - PEN)
    if sum(_measure_way(stroke)[-1] for stroke in bent) < LONGEST * spread:
        strokes = [smooth(stroke, spread) for stroke in strokes]
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    extent = (high - low).max()
    zoom = SCALE * (BOX - PEN) / extent if extent > SMALLEST else 0.0
    middle = SCALE * (MARGIN + BOX / 2) - 0.5  # OpenCV counts from the centre of a pixel
    side = SCALE * (BOX + 2 * MARGIN)
    sheet = np.zeros((side, side), np.uint8)
    for stroke in strokes:
        _draw_line(sheet, (stroke - (low + high) / 2) * zoom + middle, round(PEN * SCALE), cv2.LINE_8)
    return _centre(sheet)


def smooth(stroke: np.ndarray, spread: float) -> np.ndarray:
    """Take the trembling out of a stroke `(K, 2)`: each place becomes the mean of those around it along the stroke,
    with normal weights of that spread, in the stroke's unit; its ends stay.

    Returns `(L, 2)`, three points for each spread on the way. A line between two points, and what is shorter than the
    spread, come back as they are.
    """
    if len(stroke) < 3 or (way := _measure_way(stroke))[-1] <= spread:
        return stroke
    count = int(SAMPLES * way[-1] / spread)
    even = np.linspace(0, way[-1], count + 1)
    points = np.stack([np.interp(even, way, line) for line in (stroke - stroke[0]).T], axis=1)
    reach = min(3 * SAMPLES, count)
    weights = np.exp(-((np.arange(-reach, reach + 1) / SAMPLES) ** 2) / 2)
    points = np.concatenate([-points[reach:0:-1], points, 2 * points[-1] - points[-2 : -reach - 2 : -1]])
    return stroke[0] + np.stack([np.convolve(line, weights / weights.sum(), "valid") for line in points.T], axis=1)


def _measure_way(stroke: np.ndarray) -> np.ndarray:
    """How far each point of a stroke `(K, 2)` lies along it, `(K,)`."""
    return np.concatenate([[0.0], np.hypot(*np.diff(stroke, axis=0).T).cumsum()])


def place(strokes: Sequence[np.ndarray], extent: float, at: ArrayLike) -> tuple[np.ndarray, ...]:
    """Move strokes, each `(K, 2)`: their longest side becomes `extent`, the middle of their box lies `at`, x and y."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    longest = max((high - low).max(), SMALLEST)
    return tuple((stroke - (low + high) / 2) * extent / longest + at for stroke in strokes)


def turn(strokes: Sequence[np.ndarray], angle: float) -> tuple[np.ndarray, ...]:
    """Turn strokes, each `(K, 2)`, y down, about the origin, clockwise as one sees it, by radians."""
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return tuple(stroke @ matrix for stroke in strokes)


def sketch(strokes: Sequence[np.ndarray], pen: int, side: int = 280) -> np.ndarray:
    """Draw strokes as a canvas shows them, where they are and as wide as the pen.

    strokes: each `(K, 2)`, pixels, y down; pen: pixels. Returns `(side, side) uint8`, white ink on black.
    """
    sheet = np.zeros((side, side), np.uint8)
    for stroke in strokes:
        _draw_line(sheet, stroke, pen, cv2.LINE_AA)
    return sheet


def _draw_line(sheet: np.ndarray, points: np.ndarray, pen: int, way: int) -> None:
    at = (points * 2**SHIFT).astype(np.float32)
    line = cv2.approxPolyDP(at[:, None], 2**SHIFT / 4, closed=False).round().astype(np.int32)
    # A line of a single point draws nothing: a dot is a line back to itself.
    cv2.polylines(sheet, [np.concatenate([line, line[-1:]])], False, 255, pen, way, SHIFT)


def _centre(sheet: np.ndarray) -> np.ndarray:
    moments = cv2.moments(sheet, binaryImage=True)
    window = SCALE * SIDE
    left, top = (math.floor(moments[key] / moments["m00"] + 1 - SCALE * CENTRE) for key in ("m10", "m01"))
    return cv2.resize(sheet[top : top + window, left : left + window], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _place(path: dict[str, Any], steps: int) -> np.ndarray:
    """Points of one Fabric path, `(K, 2)`, where the canvas shows it: its JSON keeps the move apart from the path."""
    points, box = _flatten(path["path"], steps)
    angle = math.radians(path["angle"])
    cosine, sine = math.cos(angle), math.sin(angle)
    size = [path["scaleX"] * (-1 if path["flipX"] else 1), path["scaleY"] * (-1 if path["flipY"] else 1)]
    local = (points - (box.min(axis=0) + box.max(axis=0)) / 2) * size
    placed = local @ np.array([[cosine, sine], [-sine, cosine]]) + [path["left"], path["top"]]
    is_dot = np.ptp(placed, axis=0).max() < path["strokeWidth"] / 4
    return placed.mean(axis=0, keepdims=True) if is_dot else placed


def _flatten(commands: list[list[Any]], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn K commands, M, L or Q, into points `(P, 2)`, `steps` a curve, and into those that Fabric takes its box from.

    Fabric measures a quadratic curve as if it were a cubic one with its control point twice.
    """
    t = np.arange(1, steps + 1)[:, None] / steps
    s = 1 - t
    ends = np.array([command[-2:] for command in commands], dtype=np.float64)[:, None]  # (K, 1, 2)
    controls = np.array([command[1:3] for command in commands], dtype=np.float64)[:, None]
    starts = np.concatenate([ends[:1], ends[:-1]])
    seen = s * s * starts + 2 * s * t * controls + t * t * ends  # (K, steps, 2)
    measured = s**3 * starts + 3 * s * t * controls + t**3 * ends
    # Of a move or a line only the end counts.
    drawn = np.array([command[0] == "Q" for command in commands])[:, None] | (t[:, 0] == 1)
    return seen[drawn], measured[drawn]
