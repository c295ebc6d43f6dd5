import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from images import SEVEN, difference, digits, encode, likeness, place, read
from PIL import Image

from digit_core.errors import DigitError, EmptyDrawing
from digit_core.pictures import picture_from_array, read_picture
from digit_core.preprocessing import CENTRE, PEN_RANGE, find_ink, preprocess, to_mnist
from digit_core.strokes import BOX, SIDE, render, sketch
from digit_core.synthetic import draw_digits
from digit_core.types import Drawing


def pen_width(image):
    """Pen in pixels, `2 * area / outline`, by the ink's total and its boundary's length on an enlarged image."""
    large = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC) > 127
    outlines, _ = cv2.findContours(large.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return 2 * large.sum() / sum(cv2.arcLength(outline, True) for outline in outlines) / 8


# What comes in


def test_strokes_come_before_a_picture(drawn):
    np.testing.assert_array_equal(preprocess(Drawing(tuple(SEVEN), np.zeros_like(drawn))), render(SEVEN))


def test_neither_strokes_nor_a_picture_is_no_digit():
    with pytest.raises(EmptyDrawing, match="no ink"):
        preprocess(Drawing())


def test_a_picture_is_read_as_its_strokes_are():
    for strokes in digits(30):
        assert likeness(read(place(strokes, 180, 140)), render(strokes)) > 0.9


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
