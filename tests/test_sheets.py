import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from images import likeness

from digit_core.pictures import picture_from_array
from digit_core.preprocessing import find_ink, preprocess
from digit_core.sheets import cut_out, find_sheet
from digit_core.strokes import place, render, sketch
from digit_core.synthetic import draw_digit

DIGITS = [draw_digit(number % 10, np.random.default_rng([7, number])) for number in range(20)]
SHEET = 200  # pixels


def write(strokes, extent=110, pen=11, paper=230, ink=30):
    """A sheet of 200 x 200 pixels with a digit on it, `(200, 200) uint8`."""
    drawn = sketch(place(strokes, extent, (SHEET / 2, SHEET / 2)), pen, SHEET) / 255
    return (paper + (ink - paper) * drawn).astype(np.uint8)


def on_table(sheet, rng):
    table = np.clip(45 + 12 * rng.normal(size=(360, 480)), 0, 255)
    turn = np.add(cv2.getRotationMatrix2D((100, 100), rng.uniform(-8, 8), 1.0), [[0, 0, 150], [0, 0, 80]])
    seen = cv2.warpAffine(sheet, turn, (480, 360))
    there = cv2.warpAffine(np.full_like(sheet, 255), turn, (480, 360)) > 127
    return np.clip(np.where(there, seen, table) + rng.normal(0, 4, table.shape), 0, 255).astype(np.uint8)


def in_screenshot(sheet, rng):
    screen = np.full((640, 360), 250, np.uint8)
    screen[:50], screen[580:] = 60, 90
    screen[200:400, 80:280] = 255 - sheet  # a canvas with bright ink
    return screen


def in_form(sheet, rng):
    form = np.full((300, 420), 255, np.uint8)
    form[50:250, 100:300] = sheet
    cv2.rectangle(form, (100, 50), (300, 250), 40, 3)
    return form


def in_black_frame(sheet, rng):
    return np.pad(sheet, ((0, 0), (60, 90)))


AROUND = [on_table, in_screenshot, in_form, in_black_frame]


@pytest.mark.parametrize("surround", AROUND)
def test_a_digit_is_read_from_its_sheet_whatever_is_around(surround):
    rng = np.random.default_rng(1)
    for strokes in DIGITS:
        picture = surround(write(strokes), rng)
        assert likeness(preprocess(picture_from_array(picture)), render(strokes)) > 0.8


def test_a_canvas_on_a_page_on_a_screen_is_found():
    rng = np.random.default_rng(2)
    for strokes in DIGITS:
        picture = np.pad(in_screenshot(write(strokes), rng), ((40, 40), (80, 80)), constant_values=20)
        assert likeness(preprocess(picture_from_array(picture)), render(strokes)) > 0.8


def test_a_digit_on_the_picture_itself_has_no_sheet():
    for strokes in DIGITS:
        for extent, pen in ((60, 3), (150, 12), (150, 45)):
            assert find_sheet(sketch(place(strokes, extent, (140, 140)), pen)) is None


def test_the_hole_of_a_digit_is_no_sheet():
    mask = np.zeros((280, 280), np.uint8)
    cv2.rectangle(mask, (80, 40), (200, 240), 255, 20)  # a zero with corners
    assert find_sheet(mask) is None


def test_the_lines_of_a_notebook_enclose_no_sheet():
    mask = np.zeros((280, 280), np.uint8)
    mask[20::30] = 255
    mask[:, 60:62] = 255
    assert find_sheet(mask) is None or np.ptp(find_sheet(mask), axis=0).min() > 200


def test_a_small_picture_has_no_sheet():
    mask = np.zeros((55, 300), np.uint8)
    cv2.rectangle(mask, (5, 5), (250, 50), 255, 1)
    cv2.line(mask, (30, 15), (40, 40), 255, 2)
    assert find_sheet(mask) is None


def test_a_sheet_smaller_than_asked_for_is_left():
    mask = np.zeros((280, 280), np.uint8)
    cv2.rectangle(mask, (40, 40), (140, 140), 255, -1)
    cv2.polylines(mask, [np.array([(70, 70), (110, 70), (85, 115)])], False, 0, 6)
    assert find_sheet(mask, 0.15) is None
    corners = find_sheet(mask, 0.1)
    assert np.abs(corners - [(40, 40), (140, 40), (140, 140), (40, 140)]).max() < 3


def test_what_is_cut_out_stands_upright():
    sheet = write(DIGITS[4])
    turn = np.add(cv2.getRotationMatrix2D((100, 100), 20, 1.0), [[0, 0, 50], [0, 0, 50]])
    picture = cv2.warpAffine(sheet, turn, (300, 300))
    corners = cv2.transform(np.array([[(0, 0), (199, 0), (199, 199), (0, 199)]], np.float32), turn)[0]
    upright = cv2.resize(cut_out(picture, corners), (188, 188))
    assert np.corrcoef(upright.ravel(), sheet[6:194, 6:194].ravel())[0, 1] > 0.95


def test_a_sheet_without_a_drawing_is_as_it_was():
    rng = np.random.default_rng(3)
    blank = np.full((200, 200), 230, np.uint8)
    assert find_ink(picture_from_array(on_table(blank, rng)).image).shape == (360, 480)


@settings(max_examples=200)
@given(arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12)), elements=st.sampled_from([0, 255])))
def test_of_any_pattern_a_piece_can_be_cut_out(pattern):
    mask = cv2.resize(pattern, None, fx=20, fy=20, interpolation=cv2.INTER_NEAREST)
    corners = find_sheet(mask)
    if corners is not None:
        assert corners.shape == (4, 2) and min(cut_out(mask, corners).shape) >= 3
