from dataclasses import replace

import numpy as np
import pytest

from digit_core import bank
from digit_core.bank import load_bank
from digit_core.settings import read_settings


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr(bank, "DIGITS", 30)
    monkeypatch.setattr(bank, "OTHERS", 20)
    return replace(read_settings(), data=tmp_path / "data")


def test_the_bank_holds_labelled_digits_and_others_with_ink(settings):
    drawn = load_bank(settings)
    assert drawn.digits.shape == (30, 28, 28) and drawn.others.shape == (20, 28, 28)
    assert drawn.digits.dtype == drawn.others.dtype == np.uint8
    assert np.bincount(drawn.labels).tolist() == [3] * 10
    assert all(image.any() for image in (*drawn.digits, *drawn.others))


def test_it_is_drawn_once_and_the_same_on_every_machine(settings, tmp_path, monkeypatch):
    first, told = load_bank(settings), []
    elsewhere = load_bank(replace(settings, data=tmp_path / "elsewhere"))
    again = load_bank(settings, told.append)
    for name in ("digits", "labels", "others"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(elsewhere, name))
    assert told == []
