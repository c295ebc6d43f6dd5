"""Any drawing -> the 28 x 28 image that MNIST would have made of it.

Strokes are drawn again; of a picture the sheet is cut out, paper and specks are taken away, the pen's width is brought
to MNIST's where it is out of MNIST's range. Both fit the 20-pixel box, around the centre of mass (LeCun et al. 1998).
"""

import math

import cv2
import numpy as np

from digit_core.errors import EmptyDrawing
from digit_core.paper import find_even_paper, find_ink_above, turn_bright
from digit_core.sheets import SMALL, cut_out, find_sheet
from digit_core.strokes import BOX, CENTRE, SIDE, render
from digit_core.types import Drawing

LEAST_SIDE = 3  # pixels
CONTRAST, PHOTO_CONTRAST = 24, 40  # grey levels between paper and ink, at least
SHEETS = 3  # that lie one on the other, at most: a canvas on a page on a screen
LIT_SHEET = 0.15  # of the picture, at least: one that is told from its table by nothing but its brightness
BLOB = 0.54  # of its longest side: with a wider pen a piece of ink has no shape, it is a dot
SPECK = 0.03  # of the largest piece of ink: smaller ones are thrown away
FAR, APART = 0.5, 0.2  # of the size of what is nearer and of all ink: what lies farther away is another thing
RIM = 0.2  # share of a photograph's side along which a piece of background, no digit, touches its edge
PEN_RANGE = (2.0, 4.2)  # pixels in the 20-pixel box: nine in ten of MNIST's own pens


def preprocess(drawing: Drawing) -> np.ndarray:
    """Turn a drawing into what a network reads: `(28, 28) uint8`, ink bright.

    Raises EmptyDrawing when there is no ink.
    """
    if drawing.strokes or drawing.image is None:
        return render(drawing.strokes)
    return to_mnist(find_ink(drawing.image))


def find_ink(image: np.ndarray, sheets: int = SHEETS) -> np.ndarray:
    """Take the paper, its shadows and specks away, and what is around the sheet.

    image: `(H, W) uint8`, ink brighter than its paper; sheets: how many may lie one on the other. Returns ink, paper 0,
    full ink 255, of the same dtype and, if there is no sheet, shape. Raises EmptyDrawing when nothing stands out.
    """
    if min(image.shape) < LEAST_SIDE:
        raise EmptyDrawing(f"The picture has {image.shape[1]} x {image.shape[0]} pixels. Choose a larger one.")
    paper = find_even_paper(image)
    photographed = paper is None
    ink = find_ink_above(image) if paper is None else cv2.subtract(image, paper)
    level = _ink_level(ink)
    if level < (PHOTO_CONTRAST if photographed else CONTRAST):
        raise EmptyDrawing("The picture has no ink that stands out. Draw a digit, or choose another picture.")
    mask = cv2.compare(ink, level / 2, cv2.CMP_GT)
    sheet = find_sheet(mask) if sheets else None
    if sheets and sheet is None and photographed:
        sheet = find_sheet(cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[1], LIT_SHEET)
    if sheet is not None:
        return find_ink(turn_bright(cut_out(image, sheet)), sheets - 1)
    mask = _without_specks(mask, photographed)
    edge = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    return cv2.convertScaleAbs(cv2.bitwise_and(ink, edge), alpha=255 / level)


def to_mnist(ink: np.ndarray) -> np.ndarray:
    """Fit the ink into 20 x 20 pixels and its centre of mass into 28 x 28, with a pen as wide as MNIST's. A round blob
    is a dot, as a tap of the pen is.

    ink: `(H, W) uint8`, paper 0, ink bright. Returns `(28, 28) uint8`. Raises EmptyDrawing when there is no ink.
    """
    digit = _crop(ink)
    pen = _pen_width(digit)
    if pen > BLOB * max(digit.shape):
        return render((np.zeros((1, 2)),))
    found = pen * BOX / max(digit.shape)
    wanted = min(max(found, PEN_RANGE[0]), PEN_RANGE[1])
    if wanted != found:
        digit = _change_pen(digit, pen, wanted)
    zoom = BOX / max(digit.shape)
    height, width = (max(1, round(side * zoom)) for side in digit.shape)
    if digit.shape != (height, width):
        digit = cv2.resize(digit, (width, height), interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
    moments = cv2.moments(digit)
    # Whole pixels, as in MNIST, so that an image of MNIST's own stays as it is. The digit may reach over the edge.
    left, top = (round(CENTRE - 0.5 - moments[key] / moments["m00"]) + BOX for key in ("m10", "m01"))
    sheet = np.zeros((SIDE + 2 * BOX, SIDE + 2 * BOX), np.uint8)
    sheet[top : top + height, left : left + width] = digit
    return sheet[BOX : BOX + SIDE, BOX : BOX + SIDE].copy()


def _ink_level(ink: np.ndarray) -> float:
    """Grey level of full ink: of the brighter half of what stands out, the upper quartile; robust to lone pixels."""
    counts = cv2.calcHist([ink], [0], None, [256], [0, 256]).ravel()[::-1].cumsum()  # from bright to dark
    top = 255 - int(np.searchsorted(counts, max(1.0, 0.0005 * ink.size)))
    bright = counts[255 - max(top // 2, 1)]
    return float(255 - np.searchsorted(counts, bright / 4))


def _without_specks(mask: np.ndarray, photographed: bool) -> np.ndarray:
    """Keep the pieces of ink, `(H, W) uint8` 0 or 255, that belong to a digit.

    In a photograph a piece that runs along the edge is a table or a shadow, if it is not all there is.
    """
    labels_type = cv2.CV_16U if mask.size < 250_000 else cv2.CV_32S  # a piece takes four pixels; 16 bits are faster
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8, ltype=labels_type)
    if count <= 2:  # the background, and at most one piece
        return mask
    area = stats[1:, cv2.CC_STAT_AREA]
    if photographed:
        rims = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
        along = np.array([np.bincount(rim, minlength=count)[1:] / len(rim) for rim in rims]).max(axis=0)
        if (inside := along < RIM).any():
            area = area * inside
    large = area >= max(1.0, SPECK * area.max())
    if not photographed and min(mask.shape) >= SMALL:
        large = _near(stats[1:], area.argmax(), large)
    keep = np.concatenate([[False], large])
    return keep.astype(np.uint8)[labels] * np.uint8(255)


def _near(stats: np.ndarray, largest: np.intp, large: np.ndarray) -> np.ndarray:
    """Of the large pieces those near the largest, or near others that are: `(N,) bool`, as `large`."""
    low = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    high = low + stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    near = np.arange(len(large)) == largest
    apart = APART * (high[large].max(axis=0) - low[large].min(axis=0)).max()
    while True:
        start, end = low[near].min(axis=0), high[near].max(axis=0)
        gaps = np.maximum(low - end, start - high).max(axis=1)
        grown = large & (gaps <= max(FAR * (end - start).max(), apart))
        if (grown == near).all():
            return near
        near = grown


def _crop(ink: np.ndarray) -> np.ndarray:
    left, top, width, height = cv2.boundingRect(cv2.compare(ink, 50, cv2.CMP_GT))
    if not width:
        raise EmptyDrawing("The picture has no ink. Draw a digit, or choose another picture.")
    return ink[top : top + height, left : left + width]


def _pen_width(digit: np.ndarray) -> float:
    """Width of the pen in pixels: within a line that is w wide, points lie w / 4 from its edge on average."""
    zoom = max(1.0, 4 * BOX / max(digit.shape))
    large = cv2.resize(digit, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC) if zoom > 1 else digit
    mask = np.pad(cv2.compare(large, 127, cv2.CMP_GT), 1)
    depth = cv2.mean(cv2.distanceTransform(mask, cv2.DIST_L2, 5), mask)[0]
    return max(1.0, 4 * depth - 1) / zoom


def _change_pen(digit: np.ndarray, width: float, wanted: float) -> np.ndarray:
    """Move the edge of the ink so that a pen `width` pixels wide has the width `wanted` in the 20-pixel box."""
    zoom = max(4 * BOX / max(digit.shape), min(1.0, 10 / width))
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    digit = cv2.resize(digit, None, fx=zoom, fy=zoom, interpolation=way)
    share = wanted / BOX
    inward = (width * zoom - share * max(digit.shape)) / (2 - 2 * share)  # pixels, from each side
    margin = 2 + math.ceil(max(0, -inward))
    ink = cv2.compare(np.pad(digit, margin), 127, cv2.CMP_GT)
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (ink, cv2.bitwise_not(ink)))
    return _crop((255 * np.clip(inside - outside - inward + 0.5, 0, 1)).astype(np.uint8))
