import numpy as np
import pytest

from digit_core.scribbles import KINDS, LETTERS, LOOKALIKES, SHARES, SIGNS, scribble
from digit_core.strokes import render
from digit_core.synthetic import read_ways


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_digit_is_finite_strokes_that_can_be_drawn(kind):
    for seed in range(200):
        strokes = scribble(np.random.default_rng(seed), kind)
        assert all(stroke.ndim == 2 and stroke.shape[1] == 2 and np.isfinite(stroke).all() for stroke in strokes)
        assert render(strokes).any()


def test_the_same_seed_scribbles_the_same():
    first, again = (np.concatenate(scribble(np.random.default_rng(3))) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_an_unknown_kind_is_refused():
    with pytest.raises(KeyError):
        scribble(np.random.default_rng(3), "digits")


def test_letters_that_hands_write_as_a_digit_are_kept_apart_from_those_learned_from():
    learned, apart = set(read_ways(LETTERS)) | set(read_ways(SIGNS)), set(read_ways(LOOKALIKES))
    assert apart == set("oODQIiljJZzSsBbGgq")
    assert not (apart | set("0123456789")) & learned
    assert "lookalikes" not in SHARES


def test_every_other_letter_is_learned_from():
    letters = {letter for letter in read_ways(LETTERS) if letter.isalpha()}
    every = {chr(start + i) for start in (ord("a"), ord("A")) for i in range(26)}
    assert letters == every - set(read_ways(LOOKALIKES))


def test_each_kind_but_the_lookalikes_has_a_share_of_the_whole():
    assert set(SHARES) == set(KINDS) - {"lookalikes"}
    assert sum(SHARES.values()) == pytest.approx(1)
