import numpy as np

from digit_core.scribbles import SIGNS, scribble
from digit_core.strokes import render
from digit_core.synthetic import read_ways


def test_scribbles_are_finite_strokes_that_can_be_drawn():
    for seed in range(300):
        strokes = scribble(np.random.default_rng(seed))
        assert all(stroke.ndim == 2 and stroke.shape[1] == 2 and np.isfinite(stroke).all() for stroke in strokes)
        assert render(strokes).any()


def test_the_same_seed_scribbles_the_same():
    first, again = (np.concatenate(scribble(np.random.default_rng(3))) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_no_sign_is_one_that_hands_write_as_a_digit():
    assert not set("0123456789BDILOPSTUYZbghilqrsyz") & set(read_ways(SIGNS))
