import numpy as np
import pytest

from digit_core.augmentation import augment
from digit_core.synthetic import draw_digits


@pytest.fixture(scope="module")
def images():
    return draw_digits(200, seed=0)[0]


@pytest.mark.parametrize("elastic", [0.0, 1.5])
def test_images_change_and_keep_shape_and_ink(images, elastic):
    changed = augment(images, np.random.default_rng(0), elastic)
    assert (changed.shape, changed.dtype) == (images.shape, np.uint8)
    assert (changed != images).any(axis=(1, 2)).all()
    assert changed.mean() == pytest.approx(images.mean(), rel=0.15)


@pytest.mark.parametrize("elastic", [0.0, 1.5])
def test_the_same_seed_changes_them_alike(images, elastic):
    first, again = (augment(images, np.random.default_rng(3), elastic) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_hardly_any_bending_is_none(images):
    without, hardly = (augment(images, np.random.default_rng(3), elastic).astype(int) for elastic in (0.0, 1e-6))
    assert np.abs(without - hardly).mean() < 3  # of 255: OpenCV interpolates otherwise


def test_more_bending_moves_more_ink(images):
    bent = [augment(images, np.random.default_rng(3), elastic).astype(int) for elastic in (0.01, 1.0, 3.0)]
    gentle, strong = (np.abs(each - bent[0]).mean() for each in bent[1:])
    assert 0 < gentle < strong
