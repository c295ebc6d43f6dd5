import dataclasses
import json
import os

import numpy as np
import pytest
from entries import image_of, keep, say

from digit_core import exams
from digit_core.classifier import Network, load_classifier
from digit_core.errors import DataUnavailable, ModelUnavailable
from digit_core.exams import EXAMS, Exam, find_marks, list_exams, load_exam, take_exam
from digit_core.model_store import load_info
from digit_core.synthetic import draw_digits


@pytest.fixture(scope="module")
def exam():
    images, digits = draw_digits(60, 5)
    return Exam("synthetic", images, digits, ("a digit",) * 60, "ab" * 32)


@pytest.fixture(autouse=True)
def nothing_in_memory():
    exams._recent.clear()


@pytest.fixture
def readings(monkeypatch):
    """How many images were read at a time, more than one."""
    counts = []

    def read(network, images):
        if len(images) > 1:
            counts.append(len(images))
        return probabilities(network, images)

    probabilities = Network.probabilities
    monkeypatch.setattr(Network, "probabilities", read)
    return counts


def test_a_model_answers_in_an_exam_as_it_does_anywhere(settings, exam):
    info = load_info("cnn", settings)
    expected = load_classifier("cnn", settings).predict_probabilities(exam.images)
    np.testing.assert_allclose(take_exam(info, exam, settings), expected, atol=1e-6)
    marks = find_marks(info, exam, settings)
    assert marks.accuracy == (expected.argmax(axis=1) == exam.y_true).mean()
    assert marks.ms > 0


def test_a_model_reads_an_exam_once_in_each_version(settings, exam, mine, readings):
    info = load_info("mine", settings)
    assert find_marks(info, exam, settings) is None
    first = take_exam(info, exam, settings)
    np.testing.assert_array_equal(take_exam(info, exam, settings), first)
    assert len(readings) == 1
    sharper = dataclasses.replace(info, calibration=info.calibration | {"temperature": 0.5})
    assert take_exam(sharper, exam, settings).max(axis=1).mean() > first.max(axis=1).mean()
    assert len(readings) == 1  # another calibration is no other network
    other = load_info("cnn", settings)
    take_exam(other, exam, settings)
    assert len(readings) == 2


def test_a_network_that_was_changed_is_told_though_its_answers_are_kept(settings, exam, mine):
    info = load_info("mine", settings)
    take_exam(info, exam, settings)
    with (mine / "model.tflite").open("ab") as file:
        file.write(b"more")
    for ask in (take_exam, find_marks):
        with pytest.raises(ModelUnavailable, match="was changed after training"):
            ask(info, exam, settings)
    (mine / "model.tflite").unlink()
    with pytest.raises(ModelUnavailable, match=r"has no readable model\.tflite"):
        find_marks(info, exam, settings)


SOUND = {"probabilities": np.full((60, 10), 0.1, np.float32), "ms": np.ones(1)}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: np.savez(path, **SOUND | {"probabilities": SOUND["probabilities"].astype(object)}),
        lambda path: np.savez(path, **SOUND | {"probabilities": SOUND["probabilities"][:10]}),
        lambda path: np.savez(path, **SOUND | {"probabilities": -SOUND["probabilities"]}),
        lambda path: np.savez(path, **SOUND | {"ms": np.array([np.nan])}),
        lambda path: np.savez(path, **SOUND | {"ms": np.array(["fast"])}),
    ],
    ids=["cut short", "pickled", "of fewer images", "negative", "no time", "a word for a time"],
)
def test_what_was_kept_and_is_damaged_is_read_anew(settings, exam, readings, damage):
    info = load_info("cnn", settings)
    first = take_exam(info, exam, settings)
    (path,) = (settings.data / "answers").iterdir()
    exams._recent.clear()  # as in another process
    damage(path)
    np.testing.assert_array_equal(take_exam(info, exam, settings), first)
    assert len(readings) == 2


def test_where_nothing_can_be_kept_a_model_reads_once_in_a_process(settings, exam, readings):
    settings.data.write_text("a file in the folder's place")
    info = load_info("cnn", settings)
    assert take_exam(info, exam, settings).shape == (60, 10)
    assert find_marks(info, exam, settings).accuracy > 0.9
    take_exam(info, exam, settings)
    assert len(readings) == 1


def test_of_very_many_readings_the_oldest_leave_memory(settings, exam, monkeypatch):
    monkeypatch.setattr(exams, "RECENT", 1)
    for model_id in ("cnn", "ann"):
        take_exam(load_info(model_id, settings), exam, settings)
    assert len(exams._recent) == 1


def test_a_digest_that_is_no_digest_names_no_file_elsewhere(settings, exam, mine):
    path = mine / "metadata.json"
    values = json.loads(path.read_bytes())
    path.write_text(json.dumps(values | {"sha256": values["sha256"] | {"model.tflite": "../../../elsewhere"}}))
    with pytest.raises(ModelUnavailable):
        take_exam(load_info("mine", settings), exam, settings)
    assert not (settings.data / "answers").exists()


def test_of_very_many_answers_the_oldest_go(settings, exam, monkeypatch):
    monkeypatch.setattr(exams, "KEPT", 1)
    take_exam(load_info("ann", settings), exam, settings)
    (old,) = (settings.data / "answers").iterdir()
    os.utime(old, (0, 0))
    take_exam(load_info("cnn", settings), exam, settings)
    assert len(list((settings.data / "answers").iterdir())) == 1
    assert not old.exists()


def test_the_stress_drawings_are_an_exam_that_the_starters_pass(settings):
    stress = load_exam("stress", settings)
    assert len(stress.images) == len(stress.sources) == 400
    assert stress.sources[0] == "stress drawing, small"
    for model_id in ("cnn", "ann"):
        answers = take_exam(load_info(model_id, settings), stress, settings)
        assert (answers.argmax(axis=1) == stress.y_true).mean() > 0.95


def test_without_mnist_on_this_machine_nothing_is_downloaded(settings, monkeypatch):
    monkeypatch.setattr("digit_core.datasets.download_mnist", lambda *_: pytest.fail("It was downloaded."))
    without = dataclasses.replace(settings, mnist=None)
    assert list_exams(without) == ["stress", "feedback"]
    with pytest.raises(DataUnavailable, match="Download it on the page Train"):
        load_exam("mnist", without)


def test_mnist_test_images_are_an_exam(settings, mnist):
    assert list_exams(settings) == list(EXAMS)
    exam = load_exam("mnist", settings)
    np.testing.assert_array_equal(exam.images, mnist.x_test)
    assert exam.sources[3] == "MNIST test image 3"


def test_people_s_drawings_are_an_exam_once_there_are_any(settings):
    with pytest.raises(DataUnavailable, match="Draw some digits"):
        load_exam("feedback", settings)
    keep(say(4, 4, image=image_of(9)), say(None, 4), say(5, 4, minute=1, image=image_of(20)))
    exam = load_exam("feedback", settings)
    assert exam.y_true.tolist() == [5, 4]  # the newest first
    keep(say(6, 4))
    assert load_exam("feedback", settings).sha256 != exam.sha256


def test_of_very_much_feedback_the_newest_is_an_exam(settings, monkeypatch):
    monkeypatch.setattr(exams, "DRAWINGS", 2)
    keep(*(say(digit, 4, minute=digit, image=image_of(digit)) for digit in (1, 2, 3)))
    assert load_exam("feedback", settings).y_true.tolist() == [3, 2]
