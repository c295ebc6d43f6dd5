import numpy as np
import pytest

from digit_core import stress
from digit_core.settings import read_settings
from digit_core.stress import EACH, WAYS, draw_stress, load_stress


@pytest.fixture(scope="module")
def drawn():
    return draw_stress()


@pytest.fixture
def settings():
    return read_settings()


def test_the_same_digits_are_drawn_every_time_each_as_often_in_each_way(settings, drawn):
    images, digits, ways = load_stress(settings)
    assert np.array_equal(images, drawn)
    assert np.array_equal(images, draw_stress())
    assert images.shape == (400, 28, 28)
    assert images.dtype == np.uint8
    assert images.reshape(400, -1).max(axis=1).min() > 100  # none is blank
    assert (np.histogram2d(ways, digits, (len(WAYS), 10))[0] == EACH).all()


def test_they_are_drawn_once_and_kept(settings, drawn, monkeypatch):
    load_stress(settings)
    monkeypatch.setattr(stress, "draw_stress", lambda: pytest.fail("They were drawn again."))
    assert np.array_equal(load_stress(settings)[0], drawn)
