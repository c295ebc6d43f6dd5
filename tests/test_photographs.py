import io

import numpy as np
import pytest
from PIL import Image

from digit_core import photographs
from digit_core.errors import EmptyDrawing
from digit_core.photographs import SIDE, SURFACES, photograph
from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.strokes import render
from digit_core.synthetic import draw_digit
from tests.test_handwriting import likeness


def test_a_photograph_is_a_jpeg_in_colour():
    with Image.open(
        io.BytesIO(photograph(draw_digit(2, np.random.default_rng(0)), np.random.default_rng(1)))
    ) as picture:
        assert (picture.format, picture.size, picture.mode) == ("JPEG", (SIDE, SIDE), "RGB")


def test_the_same_seed_takes_the_same_photograph():
    strokes = draw_digit(2, np.random.default_rng(0))
    assert photograph(strokes, np.random.default_rng(1)) == photograph(strokes, np.random.default_rng(1))
    assert photograph(strokes, np.random.default_rng(1)) != photograph(strokes, np.random.default_rng(2))


@pytest.mark.parametrize("surface", SURFACES)
def test_what_was_written_is_found_again_on_every_surface(surface, monkeypatch):
    monkeypatch.setattr(photographs, "SURFACES", {surface: 1.0})
    rng = np.random.default_rng(0)
    found = []
    for digit in list(range(10)) * 3:
        strokes = draw_digit(digit, rng)
        found.append(likeness(preprocess(read_picture(photograph(strokes, rng))), render(strokes)) > 0.75)
    assert np.mean(found) >= 0.9


def test_no_strokes_make_no_photograph():
    with pytest.raises(EmptyDrawing):
        photograph((), np.random.default_rng(0))
