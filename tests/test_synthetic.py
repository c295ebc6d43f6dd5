import numpy as np
import pytest

from digit_core.datasets import load_synthetic
from digit_core.presets import CONFIGS
from digit_core.settings import read_settings
from digit_core.strokes import BOX, CENTRE
from digit_core.synthetic import draw_digit, draw_digits
from digit_core.training import to_input, train


def test_the_same_seed_draws_the_same_digits():
    first, again = draw_digits(40, seed=5), draw_digits(40, seed=5)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_another_seed_draws_other_digits():
    assert (draw_digits(40, seed=5)[0] != draw_digits(40, seed=6)[0]).any(axis=(1, 2)).all()


def test_digits_come_as_mnist_does():
    images, labels = draw_digits(30, seed=0)
    assert (images.shape, images.dtype) == ((30, 28, 28), np.uint8)
    assert (labels.shape, labels.dtype) == ((30,), np.int64)


def test_classes_are_balanced_and_shuffled():
    labels = draw_digits(205, seed=1)[1]
    assert np.bincount(labels).tolist() == [21] * 5 + [20] * 5
    assert labels[:20].tolist() != sorted(labels[:20])
    assert labels[:10].tolist() != list(range(10))


def test_ink_is_bright_and_fills_a_box_of_20_pixels():
    ink = draw_digits(300, seed=2)[0] > 127
    longest = np.maximum(ink.any(axis=1).sum(axis=1), ink.any(axis=2).sum(axis=1))
    assert longest.min() >= BOX - 2 and longest.max() <= BOX + 1


def test_the_centre_of_mass_lies_in_the_middle():
    images = draw_digits(300, seed=2)[0].astype(np.float64)
    place = np.arange(28) + 0.5
    for profile in (images.sum(axis=1), images.sum(axis=2)):
        assert profile @ place / profile.sum(axis=1) == pytest.approx(CENTRE, abs=1)


def test_pens_are_as_thick_as_those_of_mnist_or_bolder():
    ink = draw_digits(500, seed=3)[0].mean(axis=(1, 2))
    # Percentiles of the ink of MNIST's 60,000 training images: 17, 25, 33. A fifth of ours is drawn as with a thumb.
    assert np.percentile(ink, [5, 25, 50]) == pytest.approx([17, 25, 33], abs=5)
    assert 53 < np.percentile(ink, 95) < 75


@pytest.mark.parametrize("digit", range(10))
def test_strokes_are_finite_points_near_the_unit_box(digit):
    rng = np.random.default_rng(digit)
    for strokes in (draw_digit(digit, rng) for _ in range(200)):
        points = np.concatenate(strokes)
        assert (points.dtype, points.shape[1]) == (np.float64, 2)
        assert (np.abs(points - 0.5) < 1.5).all()
        assert all(6 < len(stroke) < 100 for stroke in strokes)


@pytest.mark.parametrize(("digit", "pens_down"), [(0, {1, 2}), (1, {1, 2}), (4, {1, 2}), (5, {1, 2}), (7, {1, 2})])
def test_a_digit_is_written_with_one_stroke_or_with_two(digit, pens_down):
    rng = np.random.default_rng(0)
    assert {len(draw_digit(digit, rng)) for _ in range(300)} == pens_down


def test_each_digit_looks_most_like_its_own_kind():
    images, labels = draw_digits(1500, seed=4)
    blurred = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    known, asked = blurred[:1200], blurred[1200:]
    distances = (known**2).sum(axis=1) - 2 * asked @ known.T
    assert (labels[distances.argmin(axis=1)] == labels[1200:]).mean() > 0.85


def test_no_digits_are_an_empty_data_set():
    images, labels = draw_digits(0, seed=0)
    assert images.shape == (0, 28, 28) and labels.shape == (0,)


@pytest.mark.parametrize("digit", [-1, 10])
def test_what_is_no_digit_cannot_be_drawn(digit):
    with pytest.raises(ValueError, match=f"no digit {digit}"):
        draw_digit(digit, np.random.default_rng(0))


def test_fewer_than_no_digits_cannot_be_drawn():
    with pytest.raises(ValueError, match="-1"):
        draw_digits(-1, seed=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2.4
def test_a_network_that_saw_nothing_else_reads_handwriting(mnist):
    network = train(CONFIGS["cnn", "quick-look"], load_synthetic(read_settings()), lambda event: None, lambda: False)
    answers = network.predict(to_input(mnist.x_test), batch_size=500, verbose=0).argmax(axis=1)
    assert np.mean(answers == mnist.y_test) > 0.93
