import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digit_core import strokes as strokes_module
from digit_core.errors import DigitError, EmptyDrawing, TooLarge, UnreadableInput
from digit_core.strokes import (
    BOX,
    CENTRE,
    MAX_POINTS,
    PEN,
    SIDE,
    place,
    read_strokes,
    render,
    sketch,
    smooth,
    strokes_from_canvas,
    turn,
)
from digit_core.synthetic import draw_digit

SEVEN = np.array([(60, 60), (200, 60), (110, 220)], np.float64)
PLACE = np.arange(SIDE)
INDICES = CENTRE - 0.5  # CENTRE counts from the edge, a pixel's index from its middle
coordinates = st.floats(-1e6, 1e6, allow_nan=False)
strokes_of_numbers = st.lists(st.lists(st.tuples(coordinates, coordinates), max_size=12), max_size=5)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def digits(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return [draw_digit(number % 10, rng) for number in range(count)]


def difference(image, other):
    return np.abs(image.astype(int) - other.astype(int))


def freedraw(samples, **changes):
    """A stroke as Fabric makes it of pointer samples: M, a Q to the middle of each two, and L to the last."""
    samples = np.asarray(samples, np.float64)
    middles = (samples[:-1] + samples[1:]) / 2
    curves = [["Q", *sample, *middle] for sample, middle in zip(samples[1:-1], middles[1:], strict=True)]
    commands = [["M", *samples[0]], *curves, ["L", *samples[-1]]]
    box = fabric_box(commands)
    untouched = {
        "type": "Path",
        "path": json.loads(json.dumps(commands)),
        "left": float(box.mean(axis=0)[0]),
        "top": float(box.mean(axis=0)[1]),
        "scaleX": 1,
        "scaleY": 1,
        "angle": 0,
        "flipX": False,
        "flipY": False,
        "strokeWidth": 20,
    }
    return {**untouched, **changes}


def fabric_box(commands):
    """Low and high corner, `(2, 2)`, of what Fabric measures: each Q read as a cubic with its control point twice."""
    t = np.linspace(0, 1, 100)[:, None]
    seen = [np.array([commands[0][1:]])]
    for command in commands[1:]:
        start, end = seen[-1][-1], np.array(command[-2:])
        control = np.array(command[1:3]) if command[0] == "Q" else (start + end) / 2
        seen.append((1 - t) ** 3 * start + 3 * t * (1 - t) * control + t**3 * end)
    points = np.concatenate(seen)
    return np.array([points.min(axis=0), points.max(axis=0)])


def canvas(*objects):
    return {"objects": list(objects), "background": "#000000"}


def arc(count=24, radius=70):
    """Three quarters of a circle, sampled as a mouse samples it."""
    turn = np.linspace(0.3, 5, count)
    return np.stack([140 + radius * np.cos(turn), 150 + 0.8 * radius * np.sin(turn)], axis=1)


# Strokes as numbers


def test_strokes_come_as_lists_tuples_or_arrays():
    expected = [[1.0, 2.0], [3.0, 4.5]]
    for raw in ([[[1, 2], [3, 4.5]]], (((1, 2), (3, 4.5)),), [np.array(expected)], np.array([expected], np.float32)):
        (stroke,) = read_strokes(raw)
        assert (stroke.dtype, stroke.tolist()) == (np.float64, expected)


def test_strokes_without_a_point_are_left_out():
    assert [stroke.tolist() for stroke in read_strokes([[], [[5, 6]], []])] == [[[5, 6]]]
    assert read_strokes([]) == ()


@pytest.mark.parametrize(
    "raw",
    [
        *(None, 7, 1.5, True, "[[[1, 2]]]", b"1", {"strokes": []}, {1, 2}, iter([]), np.array(5), object()),
        *([None], [5], ["ab"], [b"ab"], [{"x": 1, "y": 2}], [np.array(5)], [[[1, 2]], 7], [1, 2], [[1, 2]]),
        *([[[1]]], [[[1, 2, 3]]], [[[1, 2], [3]]], [[[]]], [[[[1, 2]]]], [[[1, [2]]]], [[[[1], [2]]]], [["ab"]]),
        *([[["1", "2"]]], [[[None, 1]]], [[[True, False]]], [[[1j, 1]]], [[{"x": 1}]], [[[1, "2"]]], [[[b"1", b"2"]]]),
        *([[[math.nan, 1]]], [[[1, math.inf]]], [[[-math.inf, 1]]], [[[1e10, 1]]], [[[1, -2e9]]], [[[10**400, 1]]]),
    ],
    ids=lambda raw: re.sub(" at 0x.*", "", repr(raw)[:40]),
)
def test_what_is_no_list_of_finite_points_is_refused_with_a_sentence(raw):
    with pytest.raises(UnreadableInput, match=r"^(Strokes must be .*|A stroke holds .*)\.$"):
        read_strokes(raw)


def test_deeply_nested_lists_are_refused():
    nested = [1, 2]
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(UnreadableInput):
        read_strokes([nested])
    with pytest.raises(UnreadableInput):
        read_strokes([[nested]])


def test_a_long_string_among_many_points_takes_no_memory():
    with pytest.raises(UnreadableInput):
        read_strokes([[["x" * 10**7, 1], *[[1, 1]] * (MAX_POINTS - 1)]])  # NumPy would want 800 GB


def test_ten_thousand_points_are_read_and_one_more_is_too_many():
    points = [[number, number] for number in range(MAX_POINTS)]
    assert len(read_strokes([points])[0]) == MAX_POINTS
    for raw in ([[*points, [0, 0]]], [points, [[0, 0]]], [[]] * (MAX_POINTS + 1)):
        with pytest.raises(TooLarge, match=r"10,001 points\. Send at most 10,000\."):
            read_strokes(raw)


# What the canvas sends


def test_an_untouched_stroke_lies_where_it_was_drawn():
    (stroke,) = strokes_from_canvas(canvas(freedraw(arc())))
    away = np.linalg.norm(arc()[:, None] - stroke[None], axis=2).min(axis=1)
    assert np.median(away) < 0.6  # pixels: the curve rounds the corners at the samples off
    np.testing.assert_allclose(stroke[0], arc()[0], atol=0.1)
    np.testing.assert_allclose(stroke[-1], arc()[-1], atol=0.1)


def test_curves_pass_through_the_middles_of_the_samples():
    (stroke,) = strokes_from_canvas(canvas(freedraw(arc())))
    middles = (arc()[1:-1] + arc()[2:]) / 2
    assert np.linalg.norm(middles[:, None] - stroke[None], axis=2).min(axis=1).max() < 0.1


@pytest.mark.parametrize(
    "changes",
    [
        {"left": 30.0, "top": 200.0},
        {"scaleX": 0.5, "scaleY": 1.7},
        {"angle": 30},
        {"angle": -135.5, "scaleX": 1.4, "left": 60.0},
        {"flipX": True},
        {"flipY": True, "angle": 70},
        {"flipX": True, "flipY": True, "scaleX": 2, "scaleY": 0.3, "angle": 200, "left": 1.0, "top": 2.0},
    ],
    ids=str,
)
def test_a_moved_scaled_turned_or_flipped_stroke_lies_where_it_is_seen(changes):
    path = freedraw(arc(), **changes)
    # Fabric keeps a stroke's points as drawn and maps them about the middle that its box had then.
    middle = complex(*fabric_box(path["path"]).mean(axis=0))
    (drawn,) = strokes_from_canvas(canvas(freedraw(arc())))
    away = drawn[:, 0] + 1j * drawn[:, 1] - middle
    wide = away.real * path["scaleX"] * (-1) ** path["flipX"]
    high = away.imag * path["scaleY"] * (-1) ** path["flipY"]
    turn = np.exp(1j * np.pi * path["angle"] / 180)
    expected = complex(path["left"], path["top"]) + (wide + 1j * high) * turn
    (stroke,) = strokes_from_canvas(canvas(path))
    np.testing.assert_allclose(stroke, np.stack([expected.real, expected.imag], axis=1), atol=0.1)


def test_several_strokes_keep_their_order():
    first, second = freedraw([(10, 10), (60, 10), (90, 12)]), freedraw([(50, 100), (50, 150), (52, 190)])
    strokes = strokes_from_canvas(canvas(first, second))
    assert [round(stroke[0, 1]) for stroke in strokes] == [10, 100]


def test_undo_leaves_the_strokes_before_it():
    objects = [freedraw(arc()), freedraw(SEVEN)]
    before, after = strokes_from_canvas(canvas(*objects)), strokes_from_canvas(canvas(objects[0]))
    np.testing.assert_array_equal(before[0], after[0])
    assert (len(before), len(after)) == (2, 1)


def test_an_empty_canvas_has_no_strokes():
    assert strokes_from_canvas(canvas()) == ()
    assert strokes_from_canvas(canvas(freedraw(arc(), path=[]))) == ()


def test_objects_of_other_types_are_no_strokes():
    others = [{"type": kind, "left": 1} for kind in ("Rect", "Circle", "Line", "Group", "Image")]
    assert len(strokes_from_canvas(canvas(*others, freedraw(arc())))) == 1


def test_a_tap_is_a_dot():
    tap = freedraw([(100, 80), (100.04, 80)])
    (stroke,) = strokes_from_canvas(canvas(tap))
    assert stroke.shape == (1, 2)
    np.testing.assert_allclose(stroke, [(100, 80)], atol=0.1)


def test_a_path_longer_than_a_quarter_of_the_pen_is_a_line():
    assert len(strokes_from_canvas(canvas(freedraw([(100, 80), (106, 80)])))[0]) > 1


def test_the_width_of_the_pen_and_the_size_of_the_drawing_are_forgotten():
    thin = render(strokes_from_canvas(canvas(freedraw(arc(), strokeWidth=4))))
    thick = render(strokes_from_canvas(canvas(freedraw(arc(), strokeWidth=60))))
    small = render(strokes_from_canvas(canvas(freedraw(arc(), scaleX=0.2, scaleY=0.2))))
    np.testing.assert_array_equal(thin, thick)
    assert difference(thin, small).max() <= 2


def test_a_long_drawing_has_as_many_points_as_can_be_sent_and_looks_the_same():
    turn = np.linspace(0, 40 * np.pi, MAX_POINTS)
    path = freedraw(np.stack([140 + turn * np.cos(turn) / 2, 140 + turn * np.sin(turn) / 2], axis=1))
    strokes = strokes_from_canvas(canvas(path))
    assert sum(len(stroke) for stroke in read_strokes(strokes)) <= MAX_POINTS
    few = freedraw([point[-2:] for point in path["path"]][::4])
    assert difference(render(strokes), render(strokes_from_canvas(canvas(few)))).mean() < 2


def test_more_than_ten_thousand_commands_are_too_many():
    path = freedraw(arc(), path=[["M", 0, 0], *[["L", number, number] for number in range(MAX_POINTS)]])
    with pytest.raises(TooLarge, match=r"10,001 points\. Clear the canvas"):
        strokes_from_canvas(canvas(path))


BROKEN_PATHS = [
    *("MLQ", 7, {"M": 1}, [7], [None], ["M"], [[]], [["M"]], [["M", 1]], [["Z"]]),
    *([["M", "a", "b"]], [["M", None, 1]], [["M", [1], [2]], ["L", 1, 2]], [["M", {}, 1]], [[["M", 1, 2]]], [["M1 2"]]),
    *(
        [["M", math.nan, 1]],
        [["M", 1, math.inf]],
        [["M", 1e300, 1], ["Q", -1e308, 1e308, 1e308, 1]],
        [["M", 0, 0], ["L", 1e12, 0]],
    ),
    [["M", 10**400, 1], ["L", 1, 2]],
]


@pytest.mark.parametrize("path", BROKEN_PATHS, ids=lambda path: repr(path)[:40])
def test_a_broken_path_is_refused_with_a_sentence(path):
    with pytest.raises(UnreadableInput, match="Clear it and draw again"):
        strokes_from_canvas(canvas(freedraw(arc(), path=path)))


@pytest.mark.parametrize("key", ["type", "path", "left", "top", "scaleX", "scaleY", "angle", "flipX", "strokeWidth"])
def test_a_stroke_with_a_missing_property_is_refused(key):
    path = freedraw(arc())
    del path[key]
    with pytest.raises(UnreadableInput):
        strokes_from_canvas(canvas(path))


@pytest.mark.parametrize("key", ["left", "top", "scaleX", "scaleY", "angle", "strokeWidth"])
@pytest.mark.parametrize("strange", [None, "abc", [1, 2, 3], {}], ids=repr)
def test_a_stroke_with_a_strange_property_is_refused(key, strange):
    with pytest.raises(UnreadableInput):
        strokes_from_canvas(canvas(freedraw(arc(), **{key: strange})))


@pytest.mark.parametrize("key", ["left", "top", "scaleX", "scaleY", "angle"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_stroke_that_lies_nowhere_is_refused(key, number):
    with pytest.raises(UnreadableInput):
        strokes_from_canvas(canvas(freedraw(arc(), **{key: number})))


@pytest.mark.parametrize("sent", [None, 7, "x", [], [[]], {}, {"objects": None}, {"objects": 7}, {"objects": "ab"}])
def test_what_is_no_canvas_is_refused(sent):
    with pytest.raises(UnreadableInput):
        strokes_from_canvas(sent)


@pytest.mark.parametrize("item", [None, 7, "Path", [], {}, {"type": None}, {"type": 7}, {"type": "path"}], ids=repr)
def test_what_is_no_object_of_a_canvas_is_refused(item):
    with pytest.raises(UnreadableInput):
        strokes_from_canvas(canvas(item))


# The image


@pytest.mark.parametrize("number", range(10))
def test_the_ink_fills_a_box_of_20_pixels_around_its_centre_of_mass(number):
    image = render(draw_digit(number, np.random.default_rng(number)))
    assert (image.shape, image.dtype) == ((SIDE, SIDE), np.uint8)
    ink = image > 127
    assert max(np.ptp(np.nonzero(ink.any(axis=axis))[0]) + 1 for axis in (0, 1)) in (BOX - 1, BOX, BOX + 1)
    weights = image / image.sum(dtype=np.float64)
    assert (weights.sum(axis=0) @ PLACE, weights.sum(axis=1) @ PLACE) == pytest.approx((INDICES, INDICES), abs=0.1)


def test_the_pen_is_as_thick_as_mnists():
    across = render([np.array([(0, 0), (10, 0)])])[:, SIDE // 2]
    along = render([np.array([(0, 0), (0, 10)])])[SIDE // 2]
    for profile in (across, along):
        assert profile.max() == 255
        assert profile.sum(dtype=float) / 255 == pytest.approx(PEN, abs=0.3)


def test_down_is_down_and_right_is_right():
    image = render([SEVEN])
    rows = np.nonzero((image > 127).any(axis=1))[0]
    bar, foot = (image > 127)[rows[1]], (image > 127)[rows[-2]]
    assert bar.sum() > 3 * foot.sum()  # a 7 has its bar at the top
    assert np.nonzero(foot)[0].mean() < np.nonzero(bar)[0].mean()  # and its foot at the left of the bar's middle


def test_shift_and_scale_leave_the_image_as_it_is():
    rng = np.random.default_rng(1)
    for strokes in digits():
        image = render(strokes)
        zoom, shift = 10 ** rng.uniform(-2, 3), rng.uniform(-1000, 1000, 2)
        apart = difference(image, render([stroke * zoom + shift for stroke in strokes]))
        # A rounded coordinate moves an edge by one of 8 x 8 subpixels, 4 grey levels, seldom.
        assert apart.max() <= 8
        assert apart.mean() <= 0.05


def test_more_points_along_the_same_line_change_nothing_that_is_seen():
    share = np.linspace(0, 1, 50)[:, None]
    dense = np.concatenate([a + share * (b - a) for a, b in pairwise(SEVEN)])
    assert difference(render([SEVEN]), render([dense])).mean() < 0.5


def test_the_direction_of_the_pen_does_not_matter():
    for strokes in digits():
        assert difference(render(strokes), render([stroke[::-1] for stroke in strokes])).mean() < 1


def test_a_trembling_hand_draws_nearly_what_a_steady_one_does():
    rng, apart = np.random.default_rng(0), []
    for strokes in digits():
        steady = [smooth(stroke, 0.01) for stroke in place(strokes, 1.0, (0.0, 0.0))]  # a point at each 1/300
        shaken = [stroke + rng.normal(0, 0.02, stroke.shape) for stroke in steady]
        apart.append(difference(render(shaken), render(steady)).mean())
    assert np.mean(apart) < 9


def test_smoothing_keeps_the_ends_and_the_line_and_takes_the_trembling_out():
    line = np.stack([np.linspace(0, 10, 101), np.zeros(101)], axis=1)
    shaken = line + np.random.default_rng(0).normal(0, 0.05, line.shape)
    np.testing.assert_allclose(smooth(line, 0.5)[:, 1], 0, atol=1e-12)
    smoothed = smooth(shaken, 0.5)
    np.testing.assert_allclose(smoothed[[0, -1]], shaken[[0, -1]], atol=1e-9)
    assert smoothed[:, 1].std() < shaken[:, 1].std() / 2


@pytest.mark.parametrize(
    "stroke",
    [
        np.zeros((1, 2)),
        np.array([(0.0, 0.0), (10.0, 0.0)]),
        np.array([(0.0, 0.0), (0.1, 0.0), (0.2, 0.1)]),  # shorter than the spread
    ],
)
def test_what_has_no_trembling_that_could_be_told_is_not_smoothed(stroke):
    assert smooth(stroke, 0.5) is stroke


def test_a_tap_far_away_leaves_the_strokes_as_they_would_be_without_it(monkeypatch):
    spreads = []
    monkeypatch.setattr(strokes_module, "smooth", lambda stroke, spread: spreads.append(spread) or stroke)
    (digit,) = draw_digit(6, np.random.default_rng(0))
    render([digit])
    render([digit, np.array([(9.0, 9.0)])])
    assert spreads == [spreads[0]] * 3 and spreads[0] > 0


def test_a_long_scribble_is_drawn_as_it_is(monkeypatch):
    smoothed = []
    monkeypatch.setattr(strokes_module, "smooth", lambda stroke, spread: smoothed.append(stroke) or stroke)
    zigzag = np.stack([np.arange(60) / 60, np.arange(60) % 2], axis=1)
    render([zigzag[:20]])
    assert len(smoothed) == 1
    render([zigzag])
    render([zigzag[i : i + 3] for i in range(0, 60, 3)])
    assert len(smoothed) == 1


def test_points_in_one_place_are_a_dot_in_the_middle():
    dot = render([np.array([(50.0, 60.0)])])
    assert 3 <= np.count_nonzero(dot > 127) <= 9
    assert np.argwhere(dot > 0).mean(axis=0) == pytest.approx((INDICES, INDICES), abs=0.6)
    for same in ([np.full((9, 2), 7.0)], [np.zeros((1, 2)), np.zeros((3, 2))], [np.array([(0, 0), (5e-324, 0)])]):
        np.testing.assert_array_equal(render(same), dot)


def test_a_dot_beside_a_line_is_drawn():
    line = np.array([(0.0, 0.0), (0.0, 10.0)])
    assert render([line, np.array([(8.0, 5.0)])])[:, 17:].max() > 127


@pytest.mark.parametrize("strokes", [(), [np.empty((0, 2))], [np.empty((0, 2)), np.empty((0, 2))]])
def test_nothing_drawn_is_no_digit(strokes):
    with pytest.raises(EmptyDrawing, match=r"no ink. Draw a digit\."):
        render(strokes)


def test_strokes_are_turned_clockwise_about_the_origin():
    (turned,) = turn([np.array([[1.0, 0.0], [0.0, 2.0]])], np.pi / 2)
    np.testing.assert_allclose(turned, [[0, 1], [-2, 0]], atol=1e-12)  # to the right becomes down


def test_a_sketch_shows_strokes_where_they_are():
    sheet = sketch([SEVEN, np.array([(20.0, 250.0)])], pen=10)
    assert (sheet.shape, sheet.dtype) == ((280, 280), np.uint8)
    assert [sheet[60, 130], sheet[250, 20], sheet[250, 250]] == [255, 255, 0]


# Whatever comes


@settings(max_examples=200)
@given(strokes_of_numbers)
def test_any_strokes_give_an_image_with_bright_ink_or_a_digit_error(raw):
    try:
        image = render(read_strokes(raw))
    except DigitError as error:
        assert not any(raw), error
    else:
        assert (image.shape, image.dtype) == ((SIDE, SIDE), np.uint8)
        assert image.max() > 100


@settings(max_examples=200)
@given(junk)
def test_any_junk_gives_strokes_or_a_digit_error(raw):
    for read in (read_strokes, strokes_from_canvas, lambda junk: strokes_from_canvas(canvas(junk))):
        try:
            strokes = read(raw)
        except DigitError as error:
            assert str(error).endswith(".")
        else:
            assert all(np.isfinite(stroke).all() for stroke in strokes)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(sorted(freedraw(arc()))), junk, max_size=3))
def test_any_junk_in_a_stroke_gives_strokes_or_a_digit_error(changes):
    try:
        strokes = strokes_from_canvas(canvas(freedraw(arc(), **changes)))
    except DigitError as error:
        assert str(error).endswith(".")
    else:
        assert all(np.isfinite(stroke).all() and stroke.shape[1] == 2 for stroke in strokes)
