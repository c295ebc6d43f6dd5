"""Where in a picture the drawing lies, if not on the picture itself: on a sheet on a table, on the canvas in a
screenshot, in a box of a printed form.

Such a sheet is a rectangle of one kind, ink or paper, that encloses lines of the other. Outlines are followed as Suzuki
and Abe did (1985).
"""

from collections.abc import Iterator

import cv2
import numpy as np

SMALL = 56  # pixels: a smaller picture has room for a digit, and nothing else
WORK_SIDE = 320  # pixels: outlines are followed in a mask reduced to it
LEAST, LEAST_ON_SHEET = 0.08, 0.15  # of the picture's and the sheet's shorter side: what is smaller is no drawing
RECTANGLE = 0.88  # share of the closest rectangle that a sheet fills at least
WIDEST, WIDEST_BAR = 0.25, 0.2  # of its longest side: with a wider pen a piece is no drawing; one that fills its hull
SOLID = 0.8  # share of its hull from which a piece is a bar: a one, or the piece of a pattern
SLIMMEST = 0.5  # of its length: the width from which a sheet may hold a bar
FULLEST = 0.5  # share of a sheet that its drawing may cover
INSET = 0.03  # of the way to its middle: a sheet's rim, that is cut off with what lies around it
EDGE = 0.01  # of the picture's side: what lies so near to its edge lies on it
UPRIGHT = 2.0  # pixels that the corners of an upright sheet may lie off their places


def find_sheet(mask: np.ndarray, least: float = 0.0) -> np.ndarray | None:
    """Find the rectangle that the largest drawing lies on.

    mask: `(H, W) uint8`, 0 or 255; least: the rectangle's share of the picture, at least. Returns its corners,
    `(4, 2) float32` pixels, clockwise from the upper left, or None where the drawing lies on the picture itself.
    """
    if min(mask.shape) < SMALL:
        return None
    zoom = min(1.0, WORK_SIDE / max(mask.shape))
    small = cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    small = cv2.compare(small, 80, cv2.CMP_GT)
    # What lies along the rim is once paper, so that sheets stand out from it, and once ink, which strips merge with.
    drawings = [drawing for rim in (0, 255) for drawing in _find_drawings(small, rim)]
    drawings = [(length, sheet) for length, sheet in drawings if cv2.contourArea(sheet) >= least * small.size]
    if not drawings:
        return None
    _, sheet = max(drawings, key=lambda drawing: drawing[0])
    corners = cv2.approxPolyDP(cv2.convexHull(sheet), 0.03 * cv2.arcLength(sheet, True), True)
    points = corners[:, 0].astype(np.float32) if len(corners) == 4 else cv2.boxPoints(cv2.minAreaRect(sheet))
    x, y = (points - points.mean(axis=0)).T
    return (points[np.argsort(np.arctan2(y, x))] - 1) / np.float32(zoom)


def cut_out(image: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Cut a sheet out of a picture `(H, W) uint8` and set it upright, without its rim where it is not the picture's."""
    far = np.array(image.shape[::-1]) - 1
    inner = corners + INSET * (corners.mean(axis=0) - corners)
    corners = np.where((corners > EDGE * far) & (corners < far - EDGE * far), inner, corners.clip(0, far))
    sides = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)  # upper, right, lower, left
    width, height = (max(3, round(float(sides[side::2].mean()))) for side in (0, 1))
    places = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    if np.abs(corners - corners[0] - places).max() < UPRIGHT:
        left, top = np.rint(corners[0]).astype(int).clip(0)
        return np.ascontiguousarray(image[top : top + height, left : left + width])
    turn = cv2.getPerspectiveTransform(corners.astype(np.float32), places)
    return cv2.warpPerspective(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _find_drawings(mask: np.ndarray, rim: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces that could be drawings, directly on what could be a sheet: their length, and the sheet's outline."""
    height, width = mask.shape
    framed = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=rim)
    outlines, trees = cv2.findContours(framed, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return
    tree = trees[0].tolist()  # of each outline the next, the one before, the first within and the one around
    for number, (_, _, _, around) in enumerate(tree):
        if around < 0:
            continue
        length = max(cv2.boundingRect(outlines[number])[2:])
        if length < LEAST * min(height, width):  # asked first: of a fine pattern there are a hundred thousand
            continue
        sheet = outlines[around]
        _, _, across, down = cv2.boundingRect(sheet)
        beyond = 2 * (_depth(tree, around) % 2)  # a hole's outline is drawn around it
        is_part = across - beyond < width or down - beyond < height
        if is_part and _is_drawing(outlines, tree, number, length):
            yield length, sheet


def _is_drawing(outlines: tuple[np.ndarray, ...], tree: list[list[int]], number: int, length: int) -> bool:
    """Whether a piece of that length is made of lines and what is around it is a sheet."""
    _, _, hole, around = tree[number]
    sheet = outlines[around]
    slim, wide = sorted(cv2.minAreaRect(sheet)[1])
    if cv2.contourArea(sheet) < RECTANGLE * slim * wide or length < LEAST_ON_SHEET * slim:
        return False
    outline, area = cv2.arcLength(outlines[number], True), cv2.contourArea(outlines[number])
    is_bar = area > SOLID * cv2.contourArea(cv2.convexHull(outlines[number]))
    while hole >= 0:
        outline += cv2.arcLength(outlines[hole], True)
        area -= cv2.contourArea(outlines[hole])
        hole = tree[hole][0]
    if is_bar and slim < SLIMMEST * wide:
        return False
    is_line = 2 * area <= (WIDEST_BAR if is_bar else WIDEST) * length * outline
    return is_line and area <= FULLEST * cv2.contourArea(sheet)


def _depth(tree: list[list[int]], number: int) -> int:
    """How many outlines lie around one."""
    depth = 0
    while (number := tree[number][3]) >= 0:
        depth += 1
    return depth
