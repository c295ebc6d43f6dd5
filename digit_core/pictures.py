"""A picture file, or an array -> Drawing: decoded, bounded, upright, grey, ink brighter than paper."""

import io
import math
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import ExifTags, Image

from digit_core.errors import TooLarge, UnreadableInput
from digit_core.paper import turn_bright
from digit_core.types import Drawing

MAX_BYTES = 5 * 2**20
MAX_SIDE = 4096  # pixels
MAX_SCANS = 50  # of a progressive JPEG, each as slow as a picture; cameras and programs make about ten
RUN_LENGTH = (1, 2)  # kinds of compression in BMP, which take seconds to undo and nobody uses
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
WORK_SIDE = 640  # pixels: larger pictures are reduced to it, a digit needs no more
OPAQUE = 0.75  # share of opaque pixels from which a picture is paper with holes, not ink on nothing
VIVID = 2.0  # times the grey picture's contrast that a colour must have to be read in its stead
DECODER_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, TypeError, Warning)

warnings.filterwarnings("ignore", module=r"PIL\.")  # odd metadata does no harm, and a bomb is refused by its size


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
            if picture.format == "BMP" and picture.info.get("compression", 0) in RUN_LENGTH:
                raise UnreadableInput("The picture is a compressed BMP. Save it as a PNG.")
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


def decode_grey(content: bytes, most: int = WORK_SIDE) -> np.ndarray:
    """Decode an 8-bit grey PNG to the pixel, `(H, W) uint8`. Raises UnreadableInput, TooLarge beyond `most` a side."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if max(picture.size) > most:
                raise TooLarge(f"The picture has {picture.size} pixels. Send at most {most} a side.")
            if picture.mode == "L":
                return np.array(picture)
    except (Image.DecompressionBombError, *DECODER_ERRORS):
        pass
    raise UnreadableInput("The picture is no grey PNG. Export it again.")


def encode_png(image: np.ndarray) -> bytes:
    """Write a picture, `(H, W) uint8`, or `(H, W, 3)`, red first, as a PNG file, to the pixel."""
    return cv2.imencode(".png", image if image.ndim == 2 else image[..., ::-1])[1].tobytes()


def picture_from_array(picture: np.ndarray) -> Drawing:
    """Take a grey picture, `(H, W) uint8`, of either polarity, for a drawing. Raises TooLarge, UnreadableInput."""
    if picture.ndim != 2 or picture.dtype != np.uint8 or not picture.size:
        raise UnreadableInput(f"The picture is {picture.shape} {picture.dtype}. Give (height, width) uint8.")
    if max(picture.shape) > MAX_SIDE:
        raise TooLarge(
            f"The picture has {picture.shape[1]} x {picture.shape[0]} pixels. Give at most {MAX_SIDE} a side."
        )
    return Drawing(image=_ink_bright(_decode(Image.fromarray(picture))))


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
    return turn_bright(layers)


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
