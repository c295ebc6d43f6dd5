import dataclasses
import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from digit_core import model_store
from digit_core.architectures import build_network, import_keras, make_reader
from digit_core.classifier import Classifier, Network, load_classifier
from digit_core.errors import InvalidConfig, ModelUnavailable, StorageFailed
from digit_core.model_store import (
    STARTER_IDS,
    STARTERS,
    config_from_json,
    list_damaged,
    list_models,
    load_evaluation,
    load_info,
    model_folder,
    read_model_file,
    save_network,
    to_json,
    write_file,
)
from digit_core.preprocessing import preprocess
from digit_core.presets import RECIPES
from digit_core.settings import read_settings
from digit_core.strokes import render
from digit_core.synthetic import draw_digits
from digit_core.training import to_input
from digit_core.types import Drawing, TrainConfig


def test_threads_that_write_the_same_file_do_not_meet(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: write_file(tmp_path / "file", bytes([number]) * 1000), range(200)))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert len(set((tmp_path / "file").read_bytes())) == 1


def test_the_starters_come_first_and_one_s_own_after_them(settings, mine):
    assert [info.model_id for info in list_models(settings)] == [*STARTER_IDS, mine.name]


def test_the_starters_are_small_enough_to_be_committed():
    names = ("model.keras", "model.tflite", "evaluation.json", "config.json", "metadata.json")
    files = [STARTERS / model_id / name for model_id in STARTER_IDS for name in names]
    assert sum(path.stat().st_size for path in files) < 12e6  # the ANN has 1.5 million parameters


@pytest.mark.parametrize(("model_id", "recipe"), [("ann", "best-ann"), ("cnn", "best-cnn")])
def test_the_starters_are_made_by_their_recipes(model_id, recipe, settings):
    config = load_info(model_id, settings).config
    assert config == dataclasses.replace(RECIPES[recipe], seed=config.seed)


@pytest.mark.parametrize(("model_id", "least"), [("ann", 0.993), ("cnn", 0.995)])
def test_the_starters_reach_their_accuracy_on_mnist(model_id, least, settings, mnist):
    classifier = load_classifier(model_id, settings)
    right = (classifier.predict_probabilities(mnist.x_test).argmax(axis=1) == mnist.y_test).mean()
    assert right >= least
    assert right == pytest.approx(classifier.info.test_accuracy, abs=2e-4)


@pytest.mark.parametrize("model_id", STARTER_IDS)
def test_a_model_s_evaluation_agrees_with_its_metadata(model_id, settings):
    info = load_info(model_id, settings)
    evaluation = load_evaluation(info, settings)
    assert evaluation.accuracy == info.test_accuracy
    assert evaluation.confusion_matrix.diagonal().sum() / evaluation.support.sum() == pytest.approx(info.test_accuracy)


def test_a_folder_without_metadata_is_no_model(settings, mine):
    (mine / "metadata.json").unlink()
    assert mine.name not in [info.model_id for info in list_models(settings)]
    with pytest.raises(ModelUnavailable, match="no model 'mine'"):
        load_info("mine", settings)


def test_a_file_that_was_changed_is_refused(settings, mine):
    content = bytearray((mine / "model.tflite").read_bytes())
    content[1000] ^= 1
    (mine / "model.tflite").write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"model\.tflite of model mine was changed"):
        load_classifier("mine", settings)


def test_a_file_that_is_gone_is_named(settings, mine):
    (mine / "model.keras").unlink()
    with pytest.raises(ModelUnavailable, match=r"no readable model\.keras"):
        read_model_file(load_info("mine", settings), "model.keras", settings)


@pytest.mark.parametrize(
    "change",
    [
        {"created_at": "0001-01-01T00:00:00"},
        {"created_at": 5},
        {"test_accuracy": "abc"},
        {"test_loss": float("nan")},
        {"parameters": None},
        {"size_bytes": "many"},
        *({"calibration": {"temperature": t, "threshold": 0.1}} for t in (0, -1, 1e-320, float("inf"), float("nan"))),
        {"calibration": {"temperature": 1, "threshold": 2}},
    ],
)
def test_metadata_with_a_value_of_the_wrong_kind_is_a_damaged_model(settings, mine, change):
    values = json.loads((mine / "metadata.json").read_text()) | change
    (mine / "metadata.json").write_text(json.dumps(values))
    with pytest.raises(ModelUnavailable, match="metadata of model 'mine'"):
        load_info("mine", settings)
    assert mine.name not in [info.model_id for info in list_models(settings)]


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"sha256": {}, "config": []}', '{"config": {"epochs": 1}}', "\0"])
def test_metadata_that_cannot_be_read_is_a_damaged_model(settings, mine, content):
    (mine / "metadata.json").write_text(content)
    with pytest.raises(ModelUnavailable, match="metadata of model 'mine'"):
        load_info("mine", settings)
    assert len(list_models(settings)) == len(STARTER_IDS)


@pytest.mark.parametrize("model_id", ["../ann", "", "Ann", "a/b", "a" * 65, ".", "a b"])
def test_an_id_is_a_plain_name(settings, model_id):
    with pytest.raises(ModelUnavailable, match="is no model id"):
        model_folder(model_id, settings)


def test_a_config_survives_json():
    config = TrainConfig("ann", hidden_units=(5, 3), seed=7)
    assert config_from_json(json.loads(to_json(config))) == config


def test_an_unknown_setting_is_named():
    with pytest.raises(InvalidConfig, match="Unknown settings: layers"):
        config_from_json({"layers": 3})


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [path] == list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_no_partial_one(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_file(path, b"old")

    def full(self, content):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_store.Path, "write_bytes", full)
    with pytest.raises(StorageFailed, match="No space left on device"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_folder_that_cannot_be_written_is_told():
    with pytest.raises(StorageFailed, match="could not be written"):
        write_file(model_store.Path("/dev/full/file"), b"content")


@pytest.mark.parametrize("model_id", STARTER_IDS)
def test_a_starter_reads_plain_handwriting(model_id, settings, handwriting):
    classifier = load_classifier(model_id, settings)
    assert [classifier.predict(render(handwriting[digit])).digit for digit in range(10)] == list(range(10))


def test_a_prediction_is_whole(settings, handwriting):
    image = render(handwriting[5])
    prediction = load_classifier("cnn", settings).predict(image)
    assert prediction.probabilities.shape == (10,)
    assert prediction.probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert prediction.confidence == prediction.probabilities.max()
    assert (prediction.answer_set[0], prediction.is_digit, prediction.model_id) == (5, True, "cnn")
    np.testing.assert_array_equal((prediction.image * 255).round(), image)


def test_many_images_are_read_as_one_by_one(settings):
    images, _ = draw_digits(300, seed=3)
    classifier = load_classifier("cnn", settings)
    singly = np.array([classifier.predict(image).probabilities for image in images])
    np.testing.assert_allclose(classifier.predict_probabilities(images), singly, atol=1e-5)


def test_no_images_give_no_answers(settings):
    answers = load_classifier("ann", settings).predict_probabilities(np.empty((0, 28, 28), np.uint8))
    assert answers.shape == (0, 10)


def test_threads_that_share_a_classifier_get_their_own_answers(settings):
    images, _ = draw_digits(64, seed=4)
    classifier = load_classifier("ann", settings)
    expected = classifier.predict_probabilities(images)
    wrong = []

    def read(start):
        for turn in range(100):
            i = (start + turn) % len(images)
            if not np.allclose(classifier.predict(images[i]).probabilities, expected[i], atol=1e-5):
                wrong.append(i)

    threads = [threading.Thread(target=read, args=[8 * number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_bytes_that_are_no_network_are_refused():
    with pytest.raises(ModelUnavailable, match="cannot be read"):
        Network(b"not a flatbuffer")


class FakeJudge:
    """Scores by the largest probability."""

    def __call__(self, told):
        from keras import ops

        return ops.max(told[1], axis=1, keepdims=True)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2.4
def test_a_reader_is_served_with_its_features_and_answers_as_it_did(tmp_path):
    from ai_edge_litert.interpreter import Interpreter

    network = build_network(TrainConfig("ann", hidden_units=(32, 16)))
    reader = make_reader(network)
    save_network(network, reader, FakeJudge(), tmp_path)
    content = (tmp_path / "model.tflite").read_bytes()
    names = Interpreter(model_content=content).get_signature_list()["serving_default"]["outputs"]
    assert sorted(names) == ["digit_score", "features", "probabilities"]
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    expected = reader.predict(to_input(images), verbose=0)[1]
    served = Network(content)
    probabilities, scores = served.judge(images)
    np.testing.assert_allclose(probabilities, expected, atol=2e-2)  # int8
    assert np.abs(probabilities - network(to_input(images)).numpy()).max() > 4e-2  # which looks but once
    np.testing.assert_array_equal(served.probabilities(images), probabilities)
    np.testing.assert_allclose(scores, probabilities.max(axis=1), atol=1e-6)
    assert served.features(images).shape == (5, 16)
    assert [len(some) for some in (served.probabilities(images[:0]), served.features(images[:0]))] == [0, 0]


def test_a_network_without_features_or_score_says_so_or_passes_for_a_digit(tmp_path):
    keras = import_keras()
    network = build_network(TrainConfig("ann", hidden_units=(16,)))
    keras.Model(network.input, network.output).export(tmp_path / "model.tflite", format="litert", verbose=False)
    served = Network((tmp_path / "model.tflite").read_bytes())
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    probabilities, scores = served.judge(images)
    assert probabilities.shape == (5, 10) and (scores >= 0.5).all()
    with pytest.raises(ModelUnavailable, match="Train it again"):
        served.features(images)


def test_many_images_are_answered_as_one_by_one(settings, handwriting):
    classifier = load_classifier("cnn", settings)
    images = np.stack([render(strokes) for strokes in handwriting.values()])
    together = classifier.predict_all(images)
    assert [prediction.digit for prediction in together] == list(handwriting)
    for image, prediction in zip(images, together, strict=True):
        alone = classifier.predict(image)
        assert (alone.digit, alone.answer_set) == (prediction.digit, prediction.answer_set)
        assert alone.confidence == pytest.approx(prediction.confidence, abs=1e-5)
    assert classifier.predict_all(images[:0]) == []


def test_calibration_comes_from_the_metadata(settings, handwriting):
    info = load_info("cnn", settings)
    network = Network(read_model_file(info, "model.tflite", settings))
    vague = Classifier(dataclasses.replace(info, calibration={"temperature": 50.0, "threshold": 0.01}), network)
    prediction = vague.predict(render(handwriting[2]))
    assert prediction.digit == 2
    assert prediction.confidence < 0.5
    assert len(prediction.answer_set) == 10


@pytest.mark.parametrize("model_id", STARTER_IDS)
def test_mnist_sent_through_preprocessing_loses_at_most_a_tenth_of_a_point(model_id, settings, mnist):
    classifier = load_classifier(model_id, settings)
    through = np.array([preprocess(Drawing(image=image)) for image in mnist.x_test])
    before, after = (
        (classifier.predict_probabilities(images).argmax(axis=1) == mnist.y_test).mean()
        for images in (mnist.x_test, through)
    )
    assert before - after < 0.00101


def test_a_default_is_chosen_where_nothing_was_stored_before(tmp_path):
    settings = dataclasses.replace(read_settings(), models=tmp_path / "new" / "models")
    model_store.save_default("ann", settings)
    assert model_store.load_default(settings) == "ann"


def test_the_way_back_leads_to_the_model_that_read_before_as_long_as_it_is_there(tmp_path):
    settings = dataclasses.replace(read_settings(), models=tmp_path)
    assert model_store.find_previous(settings) == "cnn"
    model_store.save_default("ann", settings)
    model_store.save_default("ann", settings)
    assert model_store.find_previous(settings) == "cnn"
    model_store.save_default("cnn", settings)
    assert model_store.find_previous(settings) == "ann"
    (tmp_path / model_store.DEFAULT).write_text('{"model_id": "ann", "before": "gone"}')
    assert model_store.find_previous(settings) == "cnn"


def test_models_whose_metadata_cannot_be_read_are_told_and_runs_without_any_are_not(settings, mine):
    assert list_damaged(settings) == {}
    (mine / "metadata.json").write_text("{")
    (settings.models / "run").mkdir()
    assert list_damaged(settings) == {"mine": "The metadata of model 'mine' cannot be read. Restore it or train again."}


@pytest.mark.parametrize("content", ["[1]", '{"accuracy": 1}', "{", "[" * 100_000])
def test_an_evaluation_that_is_none_is_told_in_a_sentence(settings, mine, content):
    (mine / "evaluation.json").write_text(content)
    values = json.loads((mine / "metadata.json").read_bytes())
    values["sha256"]["evaluation.json"] = hashlib.sha256(content.encode()).hexdigest()
    (mine / "metadata.json").write_text(json.dumps(values))
    with pytest.raises(ModelUnavailable, match="The evaluation of model mine cannot be read"):
        load_evaluation(load_info("mine", settings), settings)


@pytest.mark.parametrize(
    "change",
    [{"ece": None}, {"ece": "abc"}, {"accuracy": 2}, {"support": "many"}, {"recall": [1.0]}, {"mistakes": 4}, {"x": 1}],
)
def test_an_evaluation_of_the_wrong_kinds_is_a_damaged_one(settings, mine, change):
    content = to_json(json.loads((mine / "evaluation.json").read_bytes()) | change)
    (mine / "evaluation.json").write_bytes(content)
    metadata = json.loads((mine / "metadata.json").read_bytes())
    metadata["sha256"]["evaluation.json"] = hashlib.sha256(content).hexdigest()
    (mine / "metadata.json").write_bytes(to_json(metadata))
    with pytest.raises(ModelUnavailable, match="evaluation of model mine cannot be read"):
        load_evaluation(load_info("mine", settings), settings)


def test_a_damaged_starter_is_told(settings, monkeypatch, tmp_path):
    monkeypatch.setattr("digit_core.model_store.STARTERS", tmp_path)
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "metadata.json").write_text("{")
    assert list(list_damaged(settings)) == ["ann"]


def test_a_folder_whose_name_is_no_id_is_no_model(settings, mine):
    mine.rename(mine.with_name("my *bold* one"))
    assert [info.model_id for info in list_models(settings)] == ["cnn", "ann"]
