from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digit_core import explain
from digit_core.bank import Bank
from digit_core.classifier import load_classifier
from digit_core.errors import ModelUnavailable
from digit_core.explain import Album, find_lookalikes, load_album, paint_ink, retrace, try_changes, weigh_ink
from digit_core.model_store import STARTER_IDS
from digit_core.settings import read_settings
from digit_core.strokes import render
from digit_core.synthetic import draw_digit, draw_digits
from tests.benchmarks.explain import measure_ink


@pytest.fixture(params=STARTER_IDS)
def classifier(request):
    return load_classifier(request.param, read_settings())


@pytest.fixture(scope="module")
def digits():
    return draw_digits(60, seed=9)


def test_the_ink_that_decides_is_missed_at_least_twice_as_much_as_any_other(classifier, digits):
    by_weight, by_chance = measure_ink(classifier, digits[0])
    assert by_weight > 2 * max(by_chance, 0.01)


def test_only_ink_has_weight_and_the_bar_speaks_for_a_barred_seven(classifier):
    image = render([np.array([[0.1, 0.1], [0.8, 0.1], [0.4, 1.0]]), np.array([[0.3, 0.55], [0.75, 0.5]])])
    alone, against_one = weigh_ink(classifier, image, 7, 1)
    assert alone.shape == against_one.shape == (28, 28) and alone.dtype == np.float32
    assert not alone[image == 0].any() and not against_one[image == 0].any()
    assert against_one[:10].sum() > 0  # a one has nothing there
    assert np.abs(alone - against_one).max() > 0


def test_a_blank_image_has_no_weight(classifier):
    blank = np.zeros((28, 28), np.uint8)
    assert not np.any(weigh_ink(classifier, blank, 1, 7))
    assert not paint_ink(blank, np.zeros((28, 28), np.float32)).any()


def test_ink_is_painted_orange_for_blue_against_and_white_between():
    image = np.full((28, 28), 255, np.uint8)
    weights = np.zeros((28, 28), np.float32)
    weights[:9], weights[19:] = 2.0, -2.0
    painted = paint_ink(image, weights)
    assert painted.shape == (168, 168, 3) and painted.dtype == np.uint8
    assert painted[10, 84].tolist() == list(explain.FOR)
    assert painted[84, 84].tolist() == [255, 255, 255]
    assert painted[-10, 84].tolist() == list(explain.AGAINST)


def test_changes_are_read_again_and_the_first_is_none(classifier, digits):
    image = digits[0][3]
    changes = try_changes(classifier, image)
    assert [change.name for change in changes][:4] == ["as it is", "thicker", "thinner", "upright"]
    np.testing.assert_array_equal(changes[0].image, image)
    for change in changes:
        again = classifier.predict(change.image)
        assert (change.digit, change.confidence) == (again.digit, pytest.approx(again.confidence, abs=1e-3))
    ink = {change.name: int(change.image.sum(dtype=int)) for change in changes}
    assert ink["thinner"] < ink["as it is"] < ink["thicker"]
    assert ink["smaller"] < ink["as it is"] < ink["larger"]


def test_upright_takes_the_slant_away_and_turns_go_the_way_they_are_called(classifier):
    slanted = render([np.array([[0.9, 0.0], [0.1, 1.0]])])
    images = {change.name: change.image for change in try_changes(classifier, slanted)}

    def slant(image):
        y, x = np.nonzero(image > 99)
        return np.polyfit(y, x, 1)[0]

    assert slant(slanted) < -0.5 and abs(slant(images["upright"])) < 0.1
    assert slant(images["turned right"]) < slant(slanted) < slant(images["turned left"])


def test_a_blank_image_can_be_changed(classifier):
    assert len(try_changes(classifier, np.zeros((28, 28), np.uint8))) == 9


def test_the_most_alike_of_an_album_is_the_drawing_itself(classifier, digits):
    album = Album(*digits, "these")
    found = find_lookalikes(classifier, digits[0][17], album)
    np.testing.assert_array_equal(found.images[0], digits[0][17])
    assert found.images.shape == (5, 28, 28)
    assert found.labels[0] == digits[1][17]
    again = find_lookalikes(classifier, digits[0][17], album, count=2)
    np.testing.assert_array_equal(again.images, found.images[:2])


def test_digits_are_alike_more_often_than_not(classifier):
    album = Album(*draw_digits(500, seed=1), "these")
    images, labels = draw_digits(40, seed=2)
    found = [find_lookalikes(classifier, image, album).labels for image in images]
    assert np.mean(np.array(found) == labels[:, None]) > 0.8


def test_nothing_is_like_what_a_network_finds_nothing_in(classifier, digits, monkeypatch):
    features = classifier.network.features
    monkeypatch.setattr(classifier.network, "features", lambda images: 0 * features(images))
    found = find_lookalikes(classifier, digits[0][0], Album(*digits, "these"))
    assert len(found.images) == len(found.labels) == 0


def test_a_network_without_features_has_no_lookalikes(classifier, digits, monkeypatch):
    monkeypatch.delitem(classifier.network._outputs, "features")
    with pytest.raises(ModelUnavailable, match="Train it again"):
        find_lookalikes(classifier, digits[0][0], Album(*digits, "these"))


@pytest.mark.parametrize("named", [None, Path("/nowhere/mnist.npz")])
def test_without_mnist_the_album_is_of_the_programs_digits(monkeypatch, named):
    images, labels = draw_digits(20, seed=3)
    monkeypatch.setattr(explain, "find_mnist", lambda settings: named)
    monkeypatch.setattr(explain, "load_bank", lambda settings: Bank(images, labels, images))
    explain._open_album.cache_clear()
    album = load_album(read_settings())
    assert (album.images is images, album.origin) == (True, "synthetic digits")
    explain._open_album.cache_clear()


def test_with_mnist_the_album_is_of_its_first_images(mnist):
    explain._open_album.cache_clear()
    album = load_album(read_settings())
    np.testing.assert_array_equal(album.images, mnist.x_train[: explain.ALBUM])
    assert album.origin == "MNIST"
    explain._open_album.cache_clear()


@given(st.integers(0, 9), st.integers(1, 40))
def test_a_drawing_grows_to_the_whole(digit, steps):
    strokes = draw_digit(digit, np.random.default_rng(digit))
    grown = retrace(strokes, steps)
    lengths = [sum(map(len, some)) for some in grown]
    assert len(grown) == min(steps, sum(map(len, strokes)))
    assert lengths == sorted(set(lengths)) and lengths[0] > 0
    for stroke, whole in zip(grown[-1], strokes, strict=True):
        np.testing.assert_array_equal(stroke, whole)
    for some in grown:
        assert all(np.array_equal(part, whole[: len(part)]) for part, whole in zip(some, strokes, strict=False))


def test_a_dot_grows_in_one_step_and_nothing_in_none():
    assert len(retrace([np.array([[3.0, 4.0]])])) == 1
    assert retrace([]) == []
