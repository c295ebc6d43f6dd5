import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digit_core import handwriting
from digit_core.errors import EmptyDrawing
from digit_core.handwriting import EXTENTS, SAME_HAND, SHEET, SKIPS, SLOWEST, enter, vary
from digit_core.preprocessing import preprocess
from digit_core.strokes import place, render
from digit_core.synthetic import draw_digit


def likeness(a, b):
    """Correlation of two images, a little out of focus."""
    import cv2

    return np.corrcoef(*(cv2.GaussianBlur(x.astype(np.float32), (0, 0), 1.5).ravel() for x in (a, b)))[0, 1]


points = st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500)), min_size=1, max_size=200)


@given(st.lists(points, min_size=1, max_size=4), st.integers(0, 2**32))
def test_any_strokes_can_be_written_again(drawing, seed):
    strokes = tuple(np.array(stroke, dtype=np.float64) for stroke in drawing)
    again = vary(strokes, np.random.default_rng(seed))
    assert len(strokes) - 1 <= len(again) <= max(len(strokes) + SKIPS, 2 * len(strokes))
    assert all(len(stroke) and stroke.shape[1] == 2 and np.isfinite(stroke).all() for stroke in again)
    assert np.abs(np.concatenate(again)).max() < 3
    for entered in (enter(again, np.random.default_rng(seed + number)) for number in range(3)):
        with contextlib.suppress(EmptyDrawing):  # a dot in a photograph
            assert preprocess(entered).any()


def test_the_strokes_given_stay_as_they_are():
    strokes = draw_digit(3, np.random.default_rng(0))
    before = [stroke.copy() for stroke in strokes]
    vary(strokes, np.random.default_rng(1))
    for stroke, kept in zip(strokes, before, strict=True):
        np.testing.assert_array_equal(stroke, kept)


def test_another_hand_writes_the_same_digit_otherwise():
    rng = np.random.default_rng(0)
    likenesses = []
    for digit in list(range(10)) * 10:
        strokes = draw_digit(digit, rng)
        likenesses.append(likeness(render(strokes), render(vary(strokes, rng))))
    assert 0.6 < np.median(likenesses) < 0.95


def test_the_same_hand_writes_a_digit_more_alike_than_another():
    rng = np.random.default_rng(0)
    drawings = [draw_digit(digit, rng) for digit in list(range(10)) * 10]
    same, other = (
        [likeness(render(strokes), render(vary(strokes, rng, far))) for strokes in drawings] for far in (SAME_HAND, 1.0)
    )
    assert np.median(other) < np.median(same) < 0.99
    assert np.mean(np.array(same) > other) > 0.7


def test_the_same_hand_seldom_takes_up_another_s_habits():
    skipped = [
        np.mean([len(vary(LINES, np.random.default_rng(i), far)) != 2 for i in range(400)]) for far in (0, 0.5, 1)
    ]
    assert skipped[0] == 0
    assert 0.3 < skipped[1] / skipped[2] < 0.7


def rewritten(strokes, times=400):
    return [vary(strokes, np.random.default_rng(seed)) for seed in range(times)]


LINES = tuple(np.stack([np.linspace(0, 1, 2000), np.full(2000, y)], axis=1) for y in (0.0, 1.0))


@pytest.fixture
def only(monkeypatch):
    """Of what happens to some drawings, let one happen to all of them, or none to any."""

    def choose(name=None):
        for each in ("JOINED", "BROKEN", "AGAIN", "HOOKED", "JITTERED"):
            monkeypatch.setattr(handwriting, each, float(each == name))

    return choose


def test_pens_skip_and_are_not_lifted():
    counts = np.array([len(again) for again in rewritten(LINES)])
    assert 0.04 < np.mean(counts == 1) < 0.12
    assert 0.7 < np.mean(counts == 2) < 0.8
    assert set(counts) == {1, 2, 3, 4, 5}


def test_a_drawing_is_gone_over_again_nearly_where_it_was(only):
    only("AGAIN")
    for drawing in rewritten(LINES, 40):
        assert len(drawing) == 4
        for first, second in zip(drawing[:2], drawing[2:], strict=True):
            assert 0 < np.abs(first.mean(axis=0) - second.mean(axis=0)).max() < 0.25
            assert len(first) == len(second)


def test_some_drawings_are_gone_over_again():
    lengths = [[len(stroke) for stroke in again] for again in rewritten(LINES, 800)]
    assert 0.015 < np.mean([len(each) == 4 and each[:2] == each[2:] for each in lengths]) < 0.05


def test_what_is_not_far_is_as_it_was():
    turn = np.linspace(0, np.pi, 96)
    (stroke,) = place((np.stack([np.cos(turn), np.sin(turn)], axis=1),), 1.0, (0.0, 0.0))
    for seed in range(100):
        (again,) = vary((stroke,), np.random.default_rng(seed), far=0)
        np.testing.assert_allclose(again, stroke, atol=0.002)  # corners are cut


def test_some_hands_shake_at_each_point(only):
    def measure_bends(name):
        only(name)
        return [np.abs(np.diff(stroke[1:-1], 2, axis=0)).mean() for (stroke,) in rewritten(LINES[:1], 60)]

    assert np.median(measure_bends("JITTERED")) > 2 * np.median(measure_bends(None))


def test_some_ends_have_a_hook(only):
    def measure_ends(name):
        only(name)
        return [abs(stroke[0, 1] - stroke[1, 1]) for (stroke,) in rewritten(LINES[:1], 60)]

    assert np.median(measure_ends("HOOKED")) > 2 * np.median(measure_ends(None))


def test_a_device_tells_all_points_of_a_stroke_or_few():
    turn = np.linspace(0, np.pi, 96)
    whole = (np.stack([np.cos(turn), np.sin(turn)], axis=1),)
    counts = np.array([len(again[0]) for again in rewritten(whole) if len(again) == 1])
    assert SLOWEST < counts.min() < 10
    assert counts.max() == 96
    assert 0.3 < np.mean(counts < 24) < 0.7


def test_a_stroke_of_few_points_keeps_each():
    stroke = np.array([[0.0, 0.0], [1.0, 0.2], [2.0, 0.0], [3.0, 0.4], [4.0, 0.0]])
    assert {len(piece) for again in rewritten((stroke,)) for piece in again} == {5}


def test_the_same_seed_writes_the_same():
    strokes = draw_digit(5, np.random.default_rng(0))
    first, again = (np.concatenate(vary(strokes, np.random.default_rng(7))) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_nothing_cannot_be_written_again():
    with pytest.raises(EmptyDrawing):
        vary((np.empty((0, 2)),), np.random.default_rng(0))


def test_strokes_are_placed_where_they_are_wanted_and_as_large():
    placed = np.concatenate(place((np.array([[0.0, 0.0], [2.0, 4.0]]), np.array([[1.0, 1.0]])), 100, (60, 70)))
    np.testing.assert_allclose([placed.min(axis=0), placed.max(axis=0)], [[35, 20], [85, 120]])


def test_drawings_enter_in_every_way_and_look_alike():
    strokes = draw_digit(4, np.random.default_rng(0))
    drawings = [enter(strokes, np.random.default_rng(seed)) for seed in range(200)]
    as_strokes = [drawing for drawing in drawings if drawing.strokes]
    on_canvas = [drawing for drawing in drawings if drawing.image is not None and drawing.image.shape == (SHEET, SHEET)]
    assert 70 < len(as_strokes) < 110
    assert 50 < len(on_canvas) < 90
    assert np.mean([likeness(preprocess(drawing), render(strokes)) > 0.75 for drawing in drawings]) > 0.9


def test_a_canvas_is_used_from_a_fifth_to_the_whole():
    strokes = draw_digit(8, np.random.default_rng(0))
    images = [enter(strokes, np.random.default_rng(seed)).image for seed in range(200)]
    extents = []
    for image in images:
        if image is not None and image.shape == (SHEET, SHEET):
            rows, columns = (np.flatnonzero((image > 127).any(axis=axis)) for axis in (1, 0))
            extents.append(max(np.ptp(rows), np.ptp(columns)) / SHEET)
    assert EXTENTS[0] < min(extents) < 0.4
    assert 0.85 < max(extents) <= 1
