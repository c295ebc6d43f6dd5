"""Any picture -> the 28 x 28 image that MNIST would have made of it.

`read_picture` decodes what came in; `preprocess` does the rest, for strokes and pictures alike: paper taken away, ink
found, specks thrown away, the pen's width brought to MNIST's where it is out of MNIST's range, the 20-pixel box, the
centre of mass (LeCun et al. 1998).
"""

import io
import math
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps

from digit_core.errors import EmptyDrawing, TooLarge, UnreadableInput
from digit_core.strokes import BOX, CENTRE, SIDE, render
from digit_core.types import Drawing

MAX_BYTES = 5 * 2**20
MAX_SIDE = 4096  # pixels
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
WORK_SIDE = 640  # pixels: larger pictures are reduced to it, a digit needs no more
OPAQUE = 0.75  # share of opaque pixels from which a picture is paper with holes, not ink on nothing
VIVID = 2.0  # times the grey picture's contrast that a colour must have to be read in its stead
FLAT_PAPER = 0.5  # share of pixels at the paper's level, from which a picture counts as drawn, not photographed
PAPER_LEVELS = 12  # grey levels around the paper's own that still are paper
PAPER_SIDE = 96  # pixels: the paper is estimated on a picture reduced to this
PAPER_WINDOW = 0.4  # of the picture's shorter side: most of such a window is paper
CONTRAST = 24  # grey levels between paper and ink, at least
ALL_INK = 0.8  # share of ink above which there is nothing to read
SPECK = 0.03  # of all ink: smaller pieces are thrown away
RIM = 0.2  # share of a photograph's side along which a piece of background, no digit, touches its edge
PEN_RANGE = (2.0, 4.2)  # pixels in the 20-pixel box: nine in ten of MNIST's own pens


def preprocess(drawing: Drawing) -> np.ndarray:
    """Turn a drawing into what a network reads: `(28, 28) uint8`, ink bright.

    Raises EmptyDrawing when there is no ink, or nothing but ink.
    """
    if drawing.strokes or drawing.image is None:
        return render(drawing.strokes)
    return to_mnist(find_ink(drawing.image))


def read_picture(content: bytes) -> Drawing:
    """Decode a picture file: PNG, JPEG, WebP, BMP or GIF (its first frame), in any mode, upright as its EXIF says.

    The drawing's image is grey, ink bright, whichever way the picture was; at most 640 pixels a side. Raises TooLarge
    above 5 MB or 4096 x 4096 pixels, UnreadableInput when it is no such picture.
    """
    if len(content) > MAX_BYTES:
        raise TooLarge(f"The picture has {len(content) / 2**20:.1f} MB. Send at most {MAX_BYTES // 2**20} MB.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about odd metadata; bombs are refused by their size below
            with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
                if max(picture.size) > MAX_SIDE:
                    width, height = picture.size
                    raise TooLarge(f"The picture has {width} x {height} pixels. Send at most {MAX_SIDE} a side.")
                width, height = picture.size
                shrink = WORK_SIDE / max(width, height)
                picture.draft("RGB", (math.ceil(width * shrink), math.ceil(height * shrink)))
                layers = _decode(ImageOps.exif_transpose(picture))
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, TypeError) as error:
        raise UnreadableInput(
            "The file cannot be read as a picture. Send a whole PNG, JPEG, WebP, BMP or GIF file."
        ) from error
    return Drawing(image=_ink_bright(layers))


def picture_from_array(picture: np.ndarray) -> Drawing:
    """Take a grey picture, `(H, W) uint8`, of either polarity, for a drawing. Raises TooLarge, UnreadableInput."""
    if picture.ndim != 2 or picture.dtype != np.uint8 or not picture.size:
        raise UnreadableInput(f"The picture is {picture.shape} {picture.dtype}. Give (height, width) uint8.")
    if max(picture.shape) > MAX_SIDE:
        raise TooLarge(
            f"The picture has {picture.shape[1]} x {picture.shape[0]} pixels. Give at most {MAX_SIDE} a side."
        )
    return Drawing(image=_ink_bright(_decode(Image.fromarray(picture))))


def find_ink(image: np.ndarray) -> np.ndarray:
    """Take the paper, its shadows and specks away.

    image: `(H, W) uint8`, ink brighter than its paper. Returns the same shape and dtype, paper 0, full ink 255. Raises
    EmptyDrawing when nothing stands out, or nearly all of it does.
    """
    paper = np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]))
    photographed = _share_of_paper(image, paper) < FLAT_PAPER
    ink = _above_paper(cv2.GaussianBlur(image, (3, 3), 0)) if photographed else cv2.subtract(image, float(paper))
    level = _ink_level(ink)
    if level < CONTRAST:
        raise EmptyDrawing("The picture has no ink that stands out. Draw a digit, or choose another picture.")
    mask = _without_specks(cv2.compare(ink, level / 2, cv2.CMP_GT), photographed)
    if np.count_nonzero(mask) > ALL_INK * mask.size:
        raise EmptyDrawing("The picture is nothing but ink. Draw a digit, or choose another picture.")
    edge = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    return cv2.convertScaleAbs(cv2.bitwise_and(ink, edge), alpha=255 / level)


def to_mnist(ink: np.ndarray) -> np.ndarray:
    """Fit the ink into 20 x 20 pixels and its centre of mass into 28 x 28, with a pen as wide as MNIST's.

    ink: `(H, W) uint8`, paper 0, ink bright. Returns `(28, 28) uint8`. Raises EmptyDrawing when there is no ink.
    """
    digit = _crop(ink)
    pen = _pen_width(digit)
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


def _decode(picture: Image.Image) -> np.ndarray:
    """Pixels of an opened picture, at most 640 a side: `(H, W)` grey or `(H, W, 4)` RGBA, uint8."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more: stretched to its own brightest value
        values = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray(cv2.convertScaleAbs(values, alpha=255 / max(values.max(), 1)))
    transparent = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent or picture.mode not in ("1", "L") else "L")
    picture.thumbnail((WORK_SIDE, WORK_SIDE))
    return np.asarray(picture)


def _ink_bright(layers: np.ndarray) -> np.ndarray:
    """Grey picture `(H, W) uint8`, ink brighter than paper, of a grey or an RGBA one."""
    if layers.ndim == 3:
        layers = _grey(_on_paper(layers))
    paper = np.median(np.concatenate([layers[0], layers[-1], layers[:, 0], layers[:, -1]]))
    if _share_of_paper(layers, paper) >= FLAT_PAPER:
        strays = layers[np.abs(layers.astype(np.int16) - int(paper)) > PAPER_LEVELS]
        dark = strays.size > 0 and strays.mean() < paper
    else:
        smooth = cv2.GaussianBlur(layers, (3, 3), 0)
        dark = _ink_level(_above_paper(255 - smooth)) > _ink_level(_above_paper(smooth))
    return 255 - layers if dark else layers


def _on_paper(layers: np.ndarray) -> np.ndarray:
    """Colours `(H, W, 3) uint8` of an RGBA picture laid on a paper that its ink stands out from."""
    alpha = layers[..., 3]
    if alpha.min() == 255:
        return layers[..., :3]
    opaque = layers[alpha > 127][:, :3]
    if len(opaque) > OPAQUE * alpha.size:
        paper = np.median(opaque, axis=0)
    else:
        paper = np.full(3, 0 if len(opaque) and opaque.mean() > 127 else 255)
    share = alpha[..., None] / np.float32(255)
    return np.rint(layers[..., :3] * share + paper * (1 - share)).astype(np.uint8)


def _grey(colours: np.ndarray) -> np.ndarray:
    """Grey picture of a colour one, or the one colour channel in which a pale ink shows."""
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    spread = cv2.meanStdDev(colours)[1].ravel()
    channel = int(spread.argmax())
    return colours[..., channel].copy() if spread[channel] > VIVID * cv2.meanStdDev(grey)[1].item() else grey


def _share_of_paper(image: np.ndarray, paper: float) -> float:
    return float(
        cv2.countNonZero(cv2.inRange(image, float(paper - PAPER_LEVELS), float(paper + PAPER_LEVELS))) / image.size
    )


def _above_paper(image: np.ndarray) -> np.ndarray:
    """What stands out from uneven paper: the median of a wide window is the paper, and ink is told by its share of what
    the paper leaves up to white, since a shadow weakens both alike."""
    height, width = image.shape
    zoom = min(1.0, PAPER_SIDE / max(height, width))
    small = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA) if zoom < 1 else image
    window = max(3, int(PAPER_WINDOW * min(small.shape)) | 1)
    paper = cv2.resize(cv2.medianBlur(small, window), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.divide(cv2.subtract(image, paper), cv2.max(cv2.bitwise_not(paper), 48), scale=255)


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
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    area = stats[1:, cv2.CC_STAT_AREA]
    if photographed:
        rims = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
        along = np.array([np.bincount(rim, minlength=count)[1:] / len(rim) for rim in rims]).max(axis=0)
        if (inside := along < RIM).any():
            area = area * inside
    keep = np.concatenate([[False], area >= max(1.0, SPECK * area.sum())])
    return keep.astype(np.uint8)[labels] * np.uint8(255)


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
