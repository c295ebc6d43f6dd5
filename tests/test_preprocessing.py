import io
import math
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import likeness
from PIL import Image

from digit_core.errors import DigitError, EmptyDrawing, TooLarge, UnreadableInput
from digit_core.pictures import MAX_BYTES, picture_from_array, read_picture
from digit_core.preprocessing import CENTRE, PEN_RANGE, find_ink, preprocess, to_mnist
from digit_core.strokes import BOX, SIDE, render, sketch
from digit_core.synthetic import draw_digit, draw_digits
from digit_core.types import Drawing

PEN_SHARE = 0.13  # of the drawing's longest side: about the pen of MNIST
SEVEN = [np.array([(60, 60), (200, 60), (110, 220)], np.float64)]
MODES = {  # that Pillow can write
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "GIF": ("1", "L", "LA", "P", "RGB", "RGBA"),
}


def encode(picture, file_format="PNG", **options):
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    content = io.BytesIO()
    image.save(content, file_format, **options)
    return content.getvalue()


def read(picture, file_format="PNG", **options):
    return preprocess(read_picture(encode(picture, file_format, **options)))


def place(strokes, size, middle, pen=None, side=280):
    """Strokes drawn white on black, `size` pixels in the longer direction, around a place."""
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    at = [(stroke - (low + high) / 2) * size / (high - low).max() + middle for stroke in strokes]
    return sketch(at, pen or max(1, round(PEN_SHARE * size)), side)


def digits(count=10, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_digit(number % 10, rng) for number in range(count)]


def difference(image, other):
    return np.abs(image.astype(int) - other.astype(int))


def pen_width(image):
    """Pen in pixels, `2 * area / outline`, by the ink's total and its boundary's length on an enlarged image."""
    large = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC) > 127
    outlines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return 2 * large.sum() / sum(cv2.arcLength(outline, True) for outline in outlines) / 8


@pytest.fixture(scope="module")
def drawn():
    """A seven on a canvas, `(280, 280) uint8`, white on black."""
    return sketch(SEVEN, 20)


@pytest.fixture(scope="module")
def plain(drawn):
    """What comes of it, `(28, 28) uint8`."""
    return read(drawn)


# What comes in


def test_strokes_come_before_a_picture(drawn):
    np.testing.assert_array_equal(preprocess(Drawing(tuple(SEVEN), np.zeros_like(drawn))), render(SEVEN))


def test_neither_strokes_nor_a_picture_is_no_digit():
    with pytest.raises(EmptyDrawing, match="no ink"):
        preprocess(Drawing())


def test_a_picture_is_read_as_its_strokes_are():
    for strokes in digits(30):
        assert likeness(read(place(strokes, 180, 140)), render(strokes)) > 0.9


@pytest.mark.parametrize(("file_format", "mode"), [(name, mode) for name in MODES for mode in MODES[name]])
def test_every_mode_in_every_format_gives_the_same_image(file_format, mode, drawn, plain):
    if mode == "I;16":
        picture = Image.fromarray((255 - drawn).astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(255 - drawn).convert(mode)
    apart = difference(read(picture, file_format), plain)
    assert apart.mean() < 3 and apart.max() < 64  # black and white lines have stairs, JPEG and WebP lose a little
    if mode != "1" and file_format in ("PNG", "BMP"):
        assert apart.max() == 0


@pytest.mark.parametrize("bits", [1, 16, 257])
def test_16_bits_are_read_whatever_their_full_scale_is(bits, drawn, plain):
    picture = Image.fromarray((255 - drawn).astype(np.uint16) * np.uint16(bits))
    assert difference(read(picture), plain).max() <= 1


def test_16_bits_of_noise_in_the_dark_are_no_digit():
    noise = np.random.default_rng(0).integers(0, 5, (64, 64)).astype(np.uint16)
    with pytest.raises(EmptyDrawing):
        read(Image.fromarray(noise))


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_a_palette_may_be_transparent(file_format, drawn, plain):
    picture = Image.fromarray((drawn > 127).astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    assert difference(read(picture, file_format, transparency=0), plain).mean() < 3


def test_an_animation_shows_its_first_frame(drawn, plain):
    frames = [Image.fromarray(np.roll(drawn, 40, axis=0).T), Image.fromarray(np.zeros_like(drawn))]
    for file_format in ("GIF", "PNG", "WEBP"):
        image = read(drawn, file_format, save_all=True, append_images=frames)
        assert difference(image, plain).mean() < 3, file_format


TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", TURNS)
def test_a_picture_stands_upright_as_its_exif_says(orientation, file_format, drawn, plain):
    picture = Image.fromarray(255 - drawn)
    if TURNS[orientation] is not None:
        picture = picture.transpose(TURNS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(read(picture, file_format, exif=exif), plain).mean() < 3


@pytest.mark.filterwarnings("ignore:::PIL")
def test_a_broken_exif_turns_nothing(drawn, plain):
    for data in (b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0seven"):
        for file_format in ("JPEG", "PNG", "WEBP"):
            assert difference(read(drawn, file_format, exif=data), plain).mean() < 3


@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        *(((0, 0, 0), (255, 255, 255)), ((255, 255, 255), (0, 0, 0)), ((255, 255, 0), (255, 255, 255))),
        *(((0, 0, 255), (0, 0, 0)), ((0, 255, 255), (255, 255, 255)), ((0, 0, 128), (0, 0, 0))),
        *(((255, 0, 0), (0, 255, 0)), ((200, 0, 0), (0, 100, 0)), ((205, 205, 205), (255, 255, 255))),
        *(((60, 60, 60), (0, 0, 0)), ((90, 90, 200), (240, 230, 210)), ((255, 255, 255), (128, 128, 128))),
    ],
    ids=str,
)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_any_ink_on_any_paper_gives_the_same_image(ink, paper, file_format, drawn, plain):
    share = drawn[..., None] / 255
    picture = np.rint(np.array(ink) * share + np.array(paper) * (1 - share)).astype(np.uint8)
    apart = difference(read(picture, file_format), plain)
    assert apart.mean() < 2 and apart.max() < 64


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (255, 255, 0), (128, 128, 128), (0, 0, 255)], ids=str)
@pytest.mark.parametrize("strength", [255, 120, 60])
def test_ink_may_lie_on_nothing(ink, strength, drawn, plain):
    alpha = np.rint(drawn * (strength / 255)).astype(np.uint8)
    picture = np.dstack([*(np.full_like(drawn, level) for level in ink), alpha])
    apart = difference(read(picture), plain)
    assert apart.mean() < 2 and apart.max() < 64


def test_paper_may_have_holes(drawn, plain):
    alpha = np.full_like(drawn, 255)
    alpha[:30] = alpha[:, :30] = 0
    for grey in (drawn, 255 - drawn):
        np.testing.assert_array_equal(read(np.dstack([grey, grey, grey, alpha])), plain)


def test_dark_on_light_and_light_on_dark_are_the_same():
    for strokes in digits(30, seed=1):
        picture = place(strokes, 160, (130, 150))
        np.testing.assert_array_equal(read(picture), read(255 - picture))
        np.testing.assert_array_equal(preprocess(picture_from_array(255 - picture)), read(picture))


def test_a_picture_that_is_no_grey_array_is_refused():
    for picture in (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4)), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)):
        with pytest.raises(UnreadableInput, match="Give"):
            picture_from_array(picture)


def test_4096_pixels_a_side_are_read_and_one_more_is_too_many(plain):
    large = cv2.resize(sketch(SEVEN, 20), (4096, 4096), interpolation=cv2.INTER_LINEAR)
    assert likeness(preprocess(picture_from_array(large)), plain) > 0.98
    for shape in ((4097, 20), (20, 4097)):
        with pytest.raises(TooLarge, match="4096 a side"):
            picture_from_array(np.zeros(shape, np.uint8))
        with pytest.raises(TooLarge, match="4096 a side"):
            read(np.zeros(shape, np.uint8))


def test_a_small_file_of_a_huge_picture_is_too_large(drawn):
    size = (280).to_bytes(4, "big") * 2
    for pixels in (5000, 12_000, 60_000):
        content = bytearray(encode(drawn).replace(size, pixels.to_bytes(4, "big") * 2, 1))
        content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
        with pytest.raises(TooLarge, match="at most 4096"):
            read_picture(bytes(content))


def test_a_progressive_jpeg_of_countless_scans_is_refused(drawn, plain):
    content = encode(drawn, "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    few, many = (content[:last] + content[last:-2] * count + content[-2:] for count in (20, 60))
    assert difference(preprocess(read_picture(few)), plain).mean() < 3
    with pytest.raises(UnreadableInput, match=r"more than 50 layers\."):
        read_picture(many)


def test_a_file_of_more_than_5_mb_is_too_large(drawn):
    content = encode(drawn)
    assert read_picture(content + bytes(MAX_BYTES - len(content))).image.shape == (280, 280)
    with pytest.raises(TooLarge, match=r"5\.0 MB\. Send at most 5 MB\."):
        read_picture(content + bytes(MAX_BYTES - len(content) + 1))


@pytest.mark.parametrize("content", [b"", b"seven", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a", b"%PDF-1.7"], ids=repr)
def test_what_is_no_picture_is_refused_with_a_sentence(content):
    with pytest.raises(UnreadableInput, match=r"cannot be read as a picture\. Send a whole PNG"):
        read_picture(content)


def test_a_picture_that_ends_too_early_is_refused(drawn):
    for file_format in MODES:
        content = encode(drawn, file_format)
        with pytest.raises(UnreadableInput):
            read_picture(content[: len(content) // 2])


# What comes out


def test_an_image_of_mnists_own_stays_nearly_as_it_is():
    images, _ = draw_digits(200, seed=4)
    apart = [difference(preprocess(picture_from_array(image)), image).mean() for image in images]
    assert np.median(apart) < 1
    assert np.percentile(apart, 95) < 8


def test_the_digit_fills_20_pixels_around_its_centre_of_mass():
    for strokes in digits(30, seed=2):
        image = read(place(strokes, 150, (120, 160)))
        assert (image.shape, image.dtype) == ((SIDE, SIDE), np.uint8)
        ink = image > 127
        assert max(np.ptp(np.nonzero(ink.any(axis=axis))[0]) + 1 for axis in (0, 1)) in range(BOX - 2, BOX + 1)
        middle = [image.sum(axis=axis) @ (np.arange(SIDE) + 0.5) / image.sum() for axis in (0, 1)]
        assert middle == pytest.approx((CENTRE, CENTRE), abs=0.55)  # whole pixels, so up to half of one away


def test_a_shift_by_whole_pixels_changes_nothing():
    for strokes in digits(20, seed=3):
        picture = place(strokes, 120, 140)
        for shift in ((1, 0), (-37, 21), (60, -60)):
            np.testing.assert_array_equal(read(np.roll(picture, shift, (0, 1))), read(picture))


def test_small_in_a_corner_is_read_as_big_in_the_middle():
    apart = []
    for strokes in digits(40, seed=5):
        big = read(place(strokes, 220, 140))
        for size, at in ((110, (70, 70)), (60, (230, 40)), (40, (250, 250))):
            small = read(place(strokes, size, at))
            assert likeness(small, big) > 0.87
            apart.append(
                min(difference(np.roll(small, (i, j), (0, 1)), big).mean() for i in (0, 1, -1) for j in (0, 1, -1))
            )
    assert np.median(apart) < 7 and max(apart) < 14


@pytest.mark.parametrize("pen", [2, 4, 8, 16, 28, 44, 60])
def test_thin_and_thick_pens_come_to_mnists_range(pen):
    for strokes in digits(20, seed=6):
        width = pen_width(read(place(strokes, 180, 140, pen)))
        # A stroke's round ends and crossings make the mean width less than the pen's.
        assert PEN_RANGE[0] - 0.6 < width < PEN_RANGE[1] + 0.6


def test_pens_within_mnists_range_are_left_alone():
    thin, thick = (read(place(SEVEN, 180, 140, pen)) for pen in (22, 36))
    assert pen_width(thick) > pen_width(thin) + 0.8


def test_a_digit_may_touch_the_edge():
    for strokes in digits(20, seed=7):
        picture = place(strokes, 150, 140, 16)
        left, top, width, height = cv2.boundingRect(picture)
        cut = picture[top : top + height, left : left + width]
        padded = np.pad(cut, ((0, 80), (0, 80)))
        assert likeness(read(padded), read(picture)) > 0.98


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
@pytest.mark.parametrize("turn", [np.asarray, cv2.bitwise_not], ids=["bright", "dark"])
def test_a_bold_pen_may_fill_the_picture(turn, file_format):
    for strokes in digits(20, seed=12):
        full, small = place(strokes, 200, 140, 78), place(strokes, 200, 400, 78, side=800)
        assert likeness(read(turn(full), file_format), read(turn(small))) > 0.9


@pytest.mark.parametrize("diameter", [8, 12, 20, 50, 100])
def test_a_round_blob_is_the_dot_that_a_tap_is(diameter):
    picture = np.zeros((280, 280), np.uint8)
    cv2.circle(picture, (120, 150), diameter // 2, 255, -1, cv2.LINE_AA)
    np.testing.assert_array_equal(read(picture), render([np.zeros((1, 2))]))


def test_a_short_thick_one_is_no_dot():
    image = read(sketch([np.array([(140.0, 100.0), (140.0, 170.0)])], 40))
    assert np.ptp(np.nonzero((image > 127).any(axis=1))[0]) + 1 >= BOX - 1


def test_specks_are_thrown_away(drawn, plain):
    dirty = drawn.copy()
    for x, y in np.random.default_rng(0).integers(5, 275, (40, 2)):
        if not drawn[y - 5 : y + 5, x - 5 : x + 5].any():
            dirty[y : y + 2, x : x + 2] = 255
    assert (dirty != drawn).sum() > 50
    np.testing.assert_array_equal(read(dirty), plain)


def test_what_lies_far_from_a_drawn_digit_is_another_thing(drawn, plain):
    page = np.pad(drawn, ((300, 300), (200, 60)))
    for y in (100, 440, 780):
        cv2.circle(page, (40, y), 22, 255, -1)  # punched holes
    assert likeness(read(page), plain) > 0.98


def test_a_digit_may_be_dotted():
    for strokes in digits(10, seed=13):
        dots = place([point[None] for stroke in strokes for point in stroke], 180, 140, 8)
        assert np.ptp(np.nonzero(find_ink(dots).any(axis=1))[0]) > 150


def test_a_second_stroke_is_no_speck(drawn, plain):
    crossed = drawn.copy()
    cv2.line(crossed, (30, 160), (70, 160), 255, 20)
    assert difference(read(crossed), plain).max() > 100


# Photographs


def lights(height=480, width=640):
    """Light on a sheet of paper, 1 in full light."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    along = (x + 0.6 * y) / 1.45
    return {
        "even": np.ones((height, width)),
        "gradient": 1 - 0.5 * along,
        "vignette": 1 - 0.8 * ((x - 0.5) ** 2 + (y - 0.375) ** 2),
        "soft shadow": 1 - 0.45 / (1 + np.exp(-(along - 0.55) / 0.06)),
        "hard shadow": np.where(along > 0.55, 0.6, 1.0),
        "shadow of a hand": 1 - 0.4 * np.exp(-((x - 0.9) ** 2 + (y - 0.75) ** 2) / 0.1),
    }


LIGHTS = lights()


def photograph(ink, light, rng, noise=4.0, blur=1.2, paper=215, darkness=0.75, quality=85):
    """A JPEG picture of ink `(480, 640) uint8` on a sheet of paper."""
    ink = cv2.GaussianBlur(ink, (0, 0), blur) / 255
    grey = paper * light * (1 - darkness * ink)
    colours = grey[..., None] * (1.0, 0.98, 0.92) + rng.normal(0, noise, (*grey.shape, 1))
    return encode(colours.clip(0, 255).astype(np.uint8), "JPEG", quality=quality)


@pytest.mark.parametrize("light", LIGHTS)
def test_a_photograph_gives_nearly_the_clean_image(light):
    rng = np.random.default_rng(0)
    alike = []
    for strokes in digits(20, seed=8):
        ink = place(strokes, 240, rng.uniform((200, 190), (440, 290)), side=640)[:480]
        alike.append(likeness(preprocess(read_picture(photograph(ink, LIGHTS[light], rng))), render(strokes)))
    assert min(alike) > 0.85 and np.median(alike) > 0.95


@pytest.mark.parametrize(
    "changes",
    [{"noise": 15}, {"blur": 4}, {"darkness": 0.3}, {"quality": 25}, {"paper": 110}, {"paper": 250, "darkness": 0.95}],
    ids=str,
)
def test_a_poor_photograph_gives_nearly_the_clean_image(changes):
    rng = np.random.default_rng(1)
    for strokes in digits(10, seed=9):
        ink = place(strokes, 260, (330, 240), side=640)[:480]
        picture = photograph(ink, LIGHTS["gradient"], rng, **changes)
        assert likeness(preprocess(read_picture(picture)), render(strokes)) > 0.85


def test_chalk_on_a_board_is_read():
    rng = np.random.default_rng(2)
    for strokes in digits(10, seed=10):
        ink = place(strokes, 240, (300, 220), side=640)[:480]
        board = LIGHTS["gradient"] * (50 + 0.7 * ink) + rng.normal(0, 4, ink.shape)
        assert likeness(read(board.clip(0, 255).astype(np.uint8), "JPEG"), render(strokes)) > 0.85


def test_the_table_around_a_sheet_is_no_ink():
    rng = np.random.default_rng(3)
    for strokes in digits(10, seed=11):
        ink = place(strokes, 200, (330, 240), side=640)[:480]
        picture = LIGHTS["gradient"] * np.where(ink > 127, 40, 220) + rng.normal(0, 3, ink.shape)
        picture[:, :60] = picture[440:] = 60
        assert likeness(read(picture.clip(0, 255).astype(np.uint8), "JPEG"), render(strokes)) > 0.85


# Blank pictures


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_an_even_picture_is_no_digit(level):
    for shape in ((280, 280), (28, 28), (3, 3), (3, 300)):
        with pytest.raises(EmptyDrawing, match="no ink"):
            read(np.full(shape, level, np.uint8))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 1), (1, 4), (4096, 1), (2, 300)])
def test_a_picture_of_a_pixel_or_two_is_no_digit(shape):
    for levels in (0, 255, np.arange(math.prod(shape)).reshape(shape) % 2 * 255):
        with pytest.raises(EmptyDrawing, match=r"pixels\. Choose a larger one\."):
            read(np.zeros(shape, np.uint8) + np.uint8(levels))


def test_a_transparent_picture_is_no_digit():
    for level in (0, 255):
        with pytest.raises(EmptyDrawing):
            read(np.dstack([np.full((50, 50, 3), level, np.uint8), np.zeros((50, 50), np.uint8)]))


@pytest.mark.parametrize("paper", [245, 200, 120, 30])
@pytest.mark.parametrize("light", LIGHTS)
def test_blank_paper_is_no_digit(light, paper):
    rng = np.random.default_rng(4)
    for noise in (0.0, 4.0, 10.0):
        blank = photograph(np.zeros((480, 640), np.uint8), LIGHTS[light], rng, noise=noise, paper=paper)
        with pytest.raises(EmptyDrawing):
            preprocess(read_picture(blank))


def test_nothing_but_ink_is_no_digit():
    for margin in (0, 1, 5, 20, 50):
        picture = np.zeros((280, 280), np.uint8)
        picture[margin : 280 - margin, margin : 280 - margin] = 255
        for grey in (picture, 255 - picture):
            with pytest.raises(EmptyDrawing):
                read(grey)


def test_no_ink_cannot_be_fitted():
    with pytest.raises(EmptyDrawing):
        to_mnist(np.zeros((40, 40), np.uint8))


# Whatever comes


@settings(max_examples=300)
@given(st.sampled_from(("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")), st.data())
def test_any_picture_gives_an_image_or_a_digit_error(mode, data):
    width, height = data.draw(st.tuples(*[st.integers(1, 64)] * 2))
    depth = {"1": 1 / 8, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "I;16": 2}.get(mode, 1)
    size = math.ceil(width * depth) * height
    rough = data.draw(st.booleans())
    seed = data.draw(st.binary(min_size=size, max_size=size) if rough and size < 500 else st.integers(0, 2**32 - 1))
    pixels = seed if isinstance(seed, bytes) else np.random.default_rng(seed).bytes(size)
    picture = Image.frombytes(mode, (width, height), pixels)
    file_format = "JPEG" if mode == "CMYK" else data.draw(st.sampled_from(("PNG", "GIF") if mode == "P" else ("PNG",)))
    try:
        image = read(picture, file_format)
    except DigitError as error:
        assert str(error).endswith(".")
    else:
        assert (image.shape, image.dtype) == ((SIDE, SIDE), np.uint8)
        assert image.max() > 100


@settings(max_examples=100)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_any_grey_levels_give_an_image_or_a_digit_error(height, width, seed, levels):
    palette = np.random.default_rng(seed).integers(0, 256, levels).astype(np.uint8)
    picture = palette[np.random.default_rng(seed + 1).integers(0, levels, (height, width))]
    try:
        image = preprocess(picture_from_array(picture))
    except DigitError as error:
        assert str(error).endswith(".")
    else:
        assert (image.shape, image.dtype) == ((SIDE, SIDE), np.uint8)
