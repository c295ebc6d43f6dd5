"""Any picture -> the 28 x 28 image that MNIST would have made of it.

`read_picture` decodes what came in; `preprocess` does the rest, for strokes and pictures alike: the sheet cut out,
paper taken away, ink found, specks thrown away, the pen's width brought to MNIST's where it is out of MNIST's range,
the 20-pixel box, the centre of mass (LeCun et al. 1998).
"""

import io
import math
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import ExifTags, Image

from digit_core.errors import EmptyDrawing, TooLarge, UnreadableInput
from digit_core.sheets import cut_out, find_sheet
from digit_core.strokes import BOX, CENTRE, SIDE, render
from digit_core.types import Drawing

MAX_BYTES = 5 * 2**20
MAX_SIDE = 4096  # pixels
MAX_SCANS = 50  # of a progressive JPEG, each as slow as a picture; cameras and programs make about ten
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
LEAST_SIDE = 3  # pixels
WORK_SIDE = 640  # pixels: larger pictures are reduced to it, a digit needs no more
OPAQUE = 0.75  # share of opaque pixels from which a picture is paper with holes, not ink on nothing
VIVID = 2.0  # times the grey picture's contrast that a colour must have to be read in its stead
EVEN = 0.5  # share of pixels at the paper's level, from which a picture counts as drawn, not photographed
PAPER_LEVELS = 12  # grey levels around the paper's own that still are paper
FLAT, FLAT_LEVELS = 0.9, 4  # share of pixels so close to paper or ink, from which a picture is a program's
PAPER_SIDE = 96  # pixels: the paper is judged on a picture reduced to this
PAPER_WINDOW, WIDE_WINDOW = 0.35, 0.45  # of the picture's side: what such a window fits into is paper, or no ink
WIDEST_WINDOW = 0.6  # that no ink of a program's picture has room for
DARKEST_PAPER = 80  # grey levels: on darker paper ink is not strengthened further
CONTRAST, PHOTO_CONTRAST = 24, 40  # grey levels between paper and ink, at least
SHEETS = 3  # that lie one on the other, at most: a canvas on a page on a screen
LIT_SHEET = 0.15  # of the picture, at least: one that is told from its table by nothing but its brightness
BLOB = 0.54  # of its longest side: with a wider pen a piece of ink has no shape, it is a dot
SPECK = 0.03  # of the largest piece of ink: smaller ones are thrown away
SMALL = 56  # pixels: on a smaller picture all ink is the digit's
FAR, APART = 0.5, 0.2  # of the size of what is nearer and of all ink: what lies farther away is another thing
RIM = 0.2  # share of a photograph's side along which a piece of background, no digit, touches its edge
DECODER_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, TypeError, Warning)
PEN_RANGE = (2.0, 4.2)  # pixels in the 20-pixel box: nine in ten of MNIST's own pens

warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata does no harm, and a bomb is refused by its size


def preprocess(drawing: Drawing) -> np.ndarray:
    """Turn a drawing into what a network reads: `(28, 28) uint8`, ink bright.

    Raises EmptyDrawing when there is no ink.
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
        with Image.open(io.BytesIO(content), formats=FORMATS) as picture:
            width, height = picture.size
            if max(width, height) > MAX_SIDE:
                raise TooLarge(f"The picture has {width} x {height} pixels. Send at most {MAX_SIDE} a side.")
            if picture.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > MAX_SCANS:
                raise UnreadableInput(f"The picture is made of more than {MAX_SCANS} layers. Save it anew, in one.")
            shrink = WORK_SIDE / max(width, height)
            picture.draft("RGB", (math.ceil(width * shrink), math.ceil(height * shrink)))
            layers = _turn_upright(_decode(picture), _orientation(picture))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TooLarge(f"The picture is far too large. Send at most {MAX_SIDE} pixels a side.") from None
    except DECODER_ERRORS as error:
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


def find_ink(image: np.ndarray, sheets: int = SHEETS) -> np.ndarray:
    """Take the paper, its shadows and specks away, and what is around the sheet.

    image: `(H, W) uint8`, ink brighter than its paper; sheets: how many may lie one on the other. Returns ink, paper 0,
    full ink 255, of the same dtype and, if there is no sheet, shape. Raises EmptyDrawing when nothing stands out.
    """
    if min(image.shape) < LEAST_SIDE:
        raise EmptyDrawing(f"The picture has {image.shape[1]} x {image.shape[0]} pixels. Choose a larger one.")
    paper = _even_paper(image)
    photographed = paper is None
    ink = _above_paper(image) if paper is None else cv2.subtract(image, paper)
    level = _ink_level(ink)
    if level < (PHOTO_CONTRAST if photographed else CONTRAST):
        raise EmptyDrawing("The picture has no ink that stands out. Draw a digit, or choose another picture.")
    mask = cv2.compare(ink, level / 2, cv2.CMP_GT)
    sheet = find_sheet(mask) if sheets else None
    if sheets and sheet is None and photographed:
        sheet = find_sheet(cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[1], LIT_SHEET)
    if sheet is not None:
        return find_ink(_turn_bright(cut_out(image, sheet)), sheets - 1)
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


def _orientation(picture: Image.Image) -> int:
    """Orientation that a picture's EXIF states, 1-8; a broken one states none."""
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:
        return 1


def _turn_upright(layers: np.ndarray, orientation: int) -> np.ndarray:
    if orientation in (5, 6, 7, 8):
        layers = layers.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        layers = layers[::-1]
    if orientation in (2, 3, 6, 7):
        layers = layers[:, ::-1]
    return np.ascontiguousarray(layers)


def _decode(picture: Image.Image) -> np.ndarray:
    """Pixels of an opened picture, at most 640 a side: `(H, W)` grey, `(H, W, 3)` RGB or `(H, W, 4)` RGBA, uint8."""
    if picture.mode.startswith("I"):  # 16 bits: stretched to its own brightest value
        values = np.asarray(picture, dtype=np.float32)
        picture = Image.fromarray(cv2.convertScaleAbs(values, alpha=255 / max(values.max(), 255)))
    transparent = "A" in picture.getbands() or "transparency" in picture.info
    picture = picture.convert("RGBA" if transparent else "L" if picture.mode in ("1", "L") else "RGB")
    picture.thumbnail((WORK_SIDE, WORK_SIDE))
    return np.asarray(picture)


def _ink_bright(layers: np.ndarray) -> np.ndarray:
    """Grey picture `(H, W) uint8`, ink brighter than paper, of a grey, an RGB or an RGBA one."""
    if layers.ndim == 3:
        layers = _grey(_on_paper(layers))
    return _turn_bright(layers)


def _turn_bright(image: np.ndarray) -> np.ndarray:
    return cv2.bitwise_not(image) if _is_ink_dark(image) else image


def _is_ink_dark(image: np.ndarray) -> bool:
    """Tell ink by the third moment about the paper: ink lies further from it than noise and shadows do."""
    small = _reduce(image)
    paper = _even_paper(image)
    away = small - np.float32(cv2.medianBlur(small, len(_square(small, PAPER_WINDOW))) if paper is None else paper)
    return float((away * away * away).sum()) < 0


def _on_paper(layers: np.ndarray) -> np.ndarray:
    """Colours `(H, W, 3) uint8` of an RGBA picture laid on a paper that its ink stands out from."""
    if layers[..., 3:].min(initial=255) == 255:
        return layers[..., :3]
    colours, alpha = layers[..., :3], layers[..., 3:]
    opaque = alpha[..., 0] > 127
    if np.count_nonzero(opaque) > OPAQUE * opaque.size:
        paper = np.median(colours[opaque], axis=0)
    else:
        ink_is_bright = np.sum(colours * (alpha / 255.0)) > 127 * np.sum(alpha / 255.0) * 3
        paper = np.full(3, 0 if ink_is_bright else 255)
    share = alpha / np.float32(255)
    return np.rint(colours * share + paper * (1 - share)).astype(np.uint8)


def _grey(colours: np.ndarray) -> np.ndarray:
    """Grey picture of a colour one, or the one colour channel in which a pale ink shows."""
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    spread = cv2.meanStdDev(colours)[1].ravel()
    channel = int(spread.argmax())
    return colours[..., channel].copy() if spread[channel] > VIVID * cv2.meanStdDev(grey)[1].item() else grey


def _even_paper(image: np.ndarray) -> float | None:
    """Grey level of a drawn picture's paper; None for a photographed one, whose paper is uneven."""
    paper = float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))
    others = cv2.bitwise_not(cv2.inRange(image, paper - PAPER_LEVELS, paper + PAPER_LEVELS))
    small = _reduce(others)
    is_narrow = not cv2.erode(small, _square(small, WIDE_WINDOW)).any()
    if is_narrow and cv2.countNonZero(others) <= (1 - EVEN) * image.size:
        return paper
    if cv2.erode(small, _square(small, WIDEST_WINDOW)).any():
        return None
    ink = float(np.median(image[others > 0]))  # a pen may be so bold that it fills most of a program's picture
    flat = sum(cv2.countNonZero(cv2.inRange(image, level - FLAT_LEVELS, level + FLAT_LEVELS)) for level in (paper, ink))
    return paper if flat >= FLAT * image.size else None


def _above_paper(image: np.ndarray) -> np.ndarray:
    """What stands out from uneven paper, as a share of what the paper leaves up to white: a shadow weakens both alike.

    Paper is what a wide window fits into, which may reach over the edge: ink is narrow, shadows are wide.
    """
    smooth = cv2.GaussianBlur(image, (3, 3), 0)
    small = _reduce(smooth)
    height, width = small.shape
    window = _square(small, PAPER_WINDOW)
    rim = len(window)
    paper = cv2.copyMakeBorder(small, rim, rim, rim, rim, cv2.BORDER_REPLICATE)
    paper = cv2.morphologyEx(paper, cv2.MORPH_OPEN, window)
    paper = cv2.dilate(paper, np.ones((3, 3), np.uint8))  # the edge of a shadow was blurred when it was reduced
    paper = cv2.resize(paper[rim : rim + height, rim : rim + width], image.shape[::-1])
    return cv2.divide(cv2.subtract(smooth, paper), cv2.max(cv2.bitwise_not(paper), DARKEST_PAPER), scale=255)


def _reduce(image: np.ndarray) -> np.ndarray:
    zoom = min(1.0, PAPER_SIDE / max(image.shape))
    height, width = (max(1, round(side * zoom)) for side in image.shape)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _square(image: np.ndarray, share: float) -> np.ndarray:
    side = max(3, int(share * math.sqrt(image.size)) | 1)
    return np.ones((side, side), np.uint8)


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
