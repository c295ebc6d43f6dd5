"""A picture's paper: its grey level where a program drew on it, its lights and shadows where it was photographed."""

import math

import cv2
import numpy as np

EVEN = 0.5  # share of pixels at the paper's level, from which a picture counts as drawn, not photographed
LEVELS = 12  # grey levels around the paper's own that still are paper
FLAT, FLAT_LEVELS = 0.9, 4  # share of pixels so close to paper or ink, from which a picture is a program's
SIDE = 96  # pixels: the paper is judged on a picture reduced to this
WINDOW, WIDE_WINDOW = 0.35, 0.45  # of the picture's side: what such a window fits into is paper, or no ink
WIDEST_WINDOW = 0.6  # that no ink of a program's picture has room for
DARKEST = 80  # grey levels: on darker paper ink is not strengthened further


def turn_bright(image: np.ndarray) -> np.ndarray:
    """Turn a grey picture `(H, W) uint8` so that its ink is brighter than its paper."""
    return cv2.bitwise_not(image) if _is_ink_dark(image) else image


def find_even_paper(image: np.ndarray) -> float | None:
    """Grey level of a drawn picture's paper; None for a photographed one, whose paper is uneven."""
    paper = float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))
    others = cv2.bitwise_not(cv2.inRange(image, paper - LEVELS, paper + LEVELS))
    small = _reduce(others)
    is_narrow = not cv2.erode(small, _square(small, WIDE_WINDOW)).any()
    if is_narrow and cv2.countNonZero(others) <= (1 - EVEN) * image.size:
        return paper
    if cv2.erode(small, _square(small, WIDEST_WINDOW)).any():
        return None
    ink = float(np.median(image[others > 0]))  # a pen may be so bold that it fills most of a program's picture
    flat = sum(cv2.countNonZero(cv2.inRange(image, level - FLAT_LEVELS, level + FLAT_LEVELS)) for level in (paper, ink))
    return paper if flat >= FLAT * image.size else None


def find_ink_above(image: np.ndarray) -> np.ndarray:
    """What stands out from uneven paper, as a share of what the paper leaves up to white: a shadow weakens both alike.

    Paper is what a wide window fits into, which may reach over the edge: ink is narrow, shadows are wide.
    """
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    small = _reduce(smooth)
    height, width = small.shape
    window = _square(small, WINDOW)
    rim = len(window)
    paper = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    paper = cv2.morphologyEx(paper, cv2.MORPH_OPEN, window)
    paper = cv2.dilate(paper, np.ones((3, 3), np.uint8))  # the edge of a shadow was blurred when it was reduced
    paper = cv2.resize(paper[rim : rim + height, rim : rim + width], image.shape[::-1])
    return cv2.divide(cv2.subtract(smooth, paper), cv2.max(cv2.bitwise_not(paper), DARKEST), scale=255)


def _is_ink_dark(image: np.ndarray) -> bool:
    """Tell ink by the third moment about the paper: ink lies further from it than noise and shadows do."""
    small = _reduce(image)
    paper = find_even_paper(image)
    away = small - np.float32(cv2.medianBlur(small, len(_square(small, WINDOW))) if paper is None else paper)
    return float((away * away * away).sum()) < 0


def _reduce(image: np.ndarray) -> np.ndarray:
    zoom = min(1.0, SIDE / max(image.shape))
    height, width = (max(1, round(side * zoom)) for side in image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _square(image: np.ndarray, share: float) -> np.ndarray:
    side = max(3, int(share * math.sqrt(image.size)) | 1)
    return np.ones((side, side), np.uint8)
