import dataclasses
import io
import json
import re
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from digit_core import datasets, downloads
from digit_core.datasets import (
    check_validation,
    count_images,
    find_mnist,
    load_dataset,
    load_mnist,
    load_synthetic,
    part_validation,
)
from digit_core.errors import DataUnavailable, InvalidConfig
from digit_core.feedback import FeedbackStore
from digit_core.settings import read_settings
from digit_core.types import Drawing, Feedback


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.fixture
def settings():
    return dataclasses.replace(read_settings(), mnist=None)


@pytest.fixture
def tiny_mnist(monkeypatch):
    """A stand-in for MNIST's file, with the digests that belong to it."""
    arrays = {
        "x_train": np.arange(6 * 784, dtype=np.uint8).reshape(6, 28, 28),
        "y_train": np.arange(6, dtype=np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.array([7, 2], np.uint8),
    }
    digests = {name: datasets.hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(datasets, "MNIST_SHA256", digests)
    return npz(**arrays)


def test_real_mnist_is_loaded_and_known_by_its_content(mnist):
    assert (mnist.x_train.shape, mnist.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert np.bincount(mnist.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_a_file_named_in_the_settings_is_used(settings, tiny_mnist, tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(tiny_mnist)
    dataset = load_mnist(dataclasses.replace(settings, mnist=path))
    assert dataset.y_train.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.y_train.dtype == np.int64


def test_a_file_that_is_not_mnist_is_refused_with_advice(settings, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(npz(**{name: np.zeros(3, np.uint8) for name in datasets.MNIST_SHA256}))
    with pytest.raises(DataUnavailable, match=r"x_train in .* is not MNIST's. Put mnist.npz"):
        load_mnist(settings, path)


@pytest.mark.parametrize("content", [b"", b"no zip", npz(a=np.zeros(2)), npz(x_train=np.array([{}], object))])
def test_a_broken_file_is_refused_and_nothing_is_unpickled(settings, tmp_path, content):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataUnavailable, match="cannot be read"):
        load_mnist(settings, path)


def test_a_file_that_unpacks_to_gigabytes_is_refused_unopened(settings, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(npz(x_train=np.zeros(80_000_000, np.uint8)))
    with pytest.raises(DataUnavailable, match="more than 55 MB"):
        load_mnist(settings, path)


def test_mnist_is_downloaded_once_and_kept(settings, tiny_mnist, tmp_path, monkeypatch):
    (tmp_path / "there.npz").write_bytes(tiny_mnist)
    monkeypatch.setattr(datasets, "MNIST_URL", (tmp_path / "there.npz").as_uri())
    shares = []
    first = load_mnist(settings, on_progress=shares.append)
    (tmp_path / "there.npz").write_bytes(b"it is not asked for again")
    assert load_mnist(settings).sha256 == first.sha256
    assert shares[-1] == 1.0
    assert find_mnist(settings) == settings.data / "mnist.npz"


def test_a_download_that_fails_names_the_file_and_its_place(settings, tmp_path, monkeypatch):
    (tmp_path / "mnist.npz").write_bytes(b"<html>Sign in to the network</html>")
    monkeypatch.setattr(datasets, "MNIST_URL", (tmp_path / "mnist.npz").as_uri())
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)
    told = r"something else came.* put .*mnist.npz at .*mnist.npz.*Synthetic digits need no download"
    with pytest.raises(DataUnavailable, match=told):
        load_mnist(settings)


@pytest.fixture
def few(monkeypatch):
    """A handful of synthetic digits in place of thousands."""
    monkeypatch.setattr(datasets, "SYNTHETIC_TRAIN", 20)
    monkeypatch.setattr(datasets, "SYNTHETIC_TEST", 10)


def test_what_validates_is_parted_by_what_it_is_of(monkeypatch):
    monkeypatch.setattr(datasets, "CHOOSING_DRAWINGS", 3)
    images = np.arange(5)
    assert [part.tolist() for part in part_validation("mnist+drawings", images)] == [[0, 1], [2, 3, 4]]
    assert [part.tolist() for part in part_validation("mnist+drawings", images[:2])] == [[0, 1]]
    assert [part.tolist() for part in part_validation("mnist+feedback", images)] == [[0, 1, 2, 3, 4]]
    with pytest.raises(DataUnavailable):
        part_validation("letters", images)


def test_synthetic_digits_are_drawn_once_and_are_the_same_everywhere(settings, few, tmp_path):
    told = []
    first = load_synthetic(settings, told.append)
    assert told == [0]
    assert load_synthetic(settings, told.append).sha256 == first.sha256
    assert told == [0]
    elsewhere = load_synthetic(dataclasses.replace(settings, data=tmp_path / "elsewhere"), told.append)
    assert (elsewhere.sha256, told) == (first.sha256, [0, 0])
    assert (first.y_train.dtype, sorted(first.y_train)) == (np.int64, sorted([*range(10)] * 2))


def test_synthetic_digits_train_and_test_on_different_drawings(settings, few):
    dataset = load_synthetic(settings)
    assert not any((image == dataset.x_train).all(axis=(1, 2)).any() for image in dataset.x_test)


def strokes_file(folder, *lines):
    path = folder / "strokes.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_mixed_data_ends_with_mnist_and_tests_on_it(settings, tiny_mnist, tmp_path, few):
    path = tmp_path / "mnist.npz"
    path.write_bytes(tiny_mnist)
    mixed = load_dataset("mnist+synthetic", dataclasses.replace(settings, mnist=path))
    assert (len(mixed.x_train), mixed.y_train[-6:].tolist()) == (26, [0, 1, 2, 3, 4, 5])
    assert mixed.y_test.tolist() == [7, 2]


def test_of_the_pen_strokes_only_the_training_writers_are_learned_from(settings, tmp_path, few):
    stroke = [[[5, 0], [5, 9]]]
    lines = [{"label": 1, "writer": f"train-{number}", "strokes": stroke} for number in (1, 20, 21, 30)]
    others = [{"label": 7, "strokes": stroke}, {"label": None, "strokes": stroke}, {"label": 3, "strokes": []}]
    path = strokes_file(tmp_path, *lines, *others)
    mixed = load_dataset("synthetic+pen-digits", dataclasses.replace(settings, pen_digits=path))
    assert mixed.y_train[:-20].tolist() == [1, 1, 7]


@pytest.fixture
def written(settings, tmp_path, tiny_mnist, monkeypatch):
    """A few drawings in place of thousands: ones by writers to learn from, sevens by those to choose by."""
    monkeypatch.setattr(datasets, "DRAWINGS", {"pen strokes": 6, "digits": 20, "scribbles": 4})
    monkeypatch.setattr(datasets, "CHOOSING_DRAWINGS", 5)
    (tmp_path / "mnist.npz").write_bytes(tiny_mnist)
    stroke = [[[5, 0], [5, 9]]]
    lines = [(1, 20), (7, 21), (7, 24), (9, 25), (9, 30)]
    path = strokes_file(tmp_path, *({"label": y, "writer": f"train-{w:02}", "strokes": stroke} for y, w in lines))
    return dataclasses.replace(settings, pen_digits=path, mnist=tmp_path / "mnist.npz")


def test_drawings_of_all_kinds_are_learned_from_and_validated_by_other_writers(written):
    mixed = load_dataset("mnist+drawings", written)
    learned = mixed.y_train[:30]
    assert sorted(np.unique(learned)) == [-1, *range(10)]
    assert ((learned == -1).sum(), (learned == 1).sum(), (learned == 7).sum()) == (4, 8, 2)
    assert mixed.y_train[30:].tolist() == [0, 1, 2, 3, 4, 5, 7, 7, 7, 7, 7]
    assert mixed.x_train[:30].any(axis=(1, 2)).all()


def test_the_same_drawings_come_each_time(written):
    assert load_dataset("mnist+drawings", written).sha256 == load_dataset("mnist+drawings", written).sha256


def test_drawings_need_strokes_of_writers_to_choose_by(written, tmp_path):
    only = strokes_file(tmp_path, {"label": 1, "writer": "train-03", "strokes": [[[5, 0], [5, 9]]]})
    with pytest.raises(DataUnavailable, match="of the writers train-21 to train-24"):
        load_dataset("mnist+drawings", dataclasses.replace(written, pen_digits=only))
    with pytest.raises(DataUnavailable, match="set DIGIT_LAB_PEN_DIGITS"):
        load_dataset("mnist+drawings", dataclasses.replace(written, pen_digits=None))


def test_strokes_of_a_writer_told_in_another_form_are_not_learned_from(written, tmp_path, few):
    strokes = [[[5, 0], [5, 9]]]
    lines = [{"label": 3, "strokes": strokes}]
    lines += [{"label": 4, "writer": writer, "strokes": strokes} for writer in (21, "21", "test-3", "", None)]
    told = dataclasses.replace(written, pen_digits=strokes_file(tmp_path, *lines))
    mixed = load_dataset("synthetic+pen-digits", told)
    assert mixed.y_train[: -len(load_dataset("synthetic", told).y_train)].tolist() == [3]


def test_damaged_strokes_of_ours_are_fetched_again(written):
    ours = dataclasses.replace(written, pen_digits=None)
    ours.data.mkdir(parents=True, exist_ok=True)
    (ours.data / "pen_digits_strokes.jsonl.gz").write_bytes(b"no gzip")
    with pytest.raises(DataUnavailable, match=r"data fetch pen-digits` mends it"):
        load_dataset("mnist+pen-digits", ours)


@pytest.mark.parametrize(("name", "most"), [("mnist+drawings", 41.5), ("synthetic+drawings", 27.4)])
def test_a_validation_share_that_takes_in_what_is_no_digit_is_told_at_once(name, most):
    check_validation(name, most / 100)
    check_validation("mnist", 0.5)
    with pytest.raises(InvalidConfig, match=rf"is 50\.0 %.* Choose at most {most} %"):
        check_validation(name, 0.5)


def test_pen_strokes_that_are_not_there_are_told(settings, tmp_path, few):
    with pytest.raises(DataUnavailable, match="set DIGIT_LAB_PEN_DIGITS"):
        load_dataset("synthetic+pen-digits", dataclasses.replace(settings, pen_digits=None))
    with pytest.raises(DataUnavailable, match=r"DIGIT_LAB_PEN_DIGITS names .*none\.jsonl"):
        load_dataset("synthetic+pen-digits", dataclasses.replace(settings, pen_digits=tmp_path / "none.jsonl"))
    unlabelled = strokes_file(tmp_path, {"label": None, "strokes": [[[0, 0], [0, 9]]]})
    with pytest.raises(DataUnavailable, match="holds no labelled strokes"):
        load_dataset("synthetic+pen-digits", dataclasses.replace(settings, pen_digits=unlabelled))


def test_what_people_named_is_learned_from_more_than_once(settings, few, monkeypatch):
    monkeypatch.setattr(datasets, "FEEDBACK_SHARE", 0.5)
    store = FeedbackStore(settings.database_url)
    image = np.full((28, 28), 9, np.uint8)
    for digit in (4, None):
        drawing = Drawing((np.array([[0.0, 0.0], [0.0, 9.0]]),))
        store.add(Feedback(str(uuid.uuid4()), datetime.now(UTC), "me", drawing, "canvas", image, (), digit))
    mixed = load_dataset("synthetic+feedback", settings)
    assert mixed.y_train[:-20].tolist() == [4] * 10
    np.testing.assert_array_equal(mixed.x_train[0], image)


def test_feedback_that_nobody_gave_is_told(settings, few):
    with pytest.raises(DataUnavailable, match="Nobody has said yet"):
        load_dataset("synthetic+feedback", settings)


@pytest.mark.parametrize(
    "name", ["cifar", "", "mnist+", "+mnist", "synthetic+synthetic", "mnist+mnist", "mnist+feedback+feedback"]
)
def test_an_unknown_data_set_is_named(settings, name):
    with pytest.raises(DataUnavailable, match=re.escape(f"no data set {name!r}. Choose mnist or synthetic")):
        load_dataset(name, settings)


def test_a_data_set_is_counted_without_loading_it():
    assert count_images("mnist+synthetic") == 90_000
    with pytest.raises(DataUnavailable):
        count_images("cifar")
