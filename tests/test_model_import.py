"""Models from files; those of Keras networks are hostile too."""

import hashlib
import json
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from digit_core import foreign, runs
from digit_core.architectures import import_keras
from digit_core.classifier import load_classifier
from digit_core.cli import main
from digit_core.errors import DigitError, ModelUnavailable, TooLarge
from digit_core.foreign import adapt_network, load_foreign
from digit_core.model_archive import export_model
from digit_core.model_import import import_model
from digit_core.model_store import STARTERS, list_models, load_info, load_network
from digit_core.settings import ROOT
from digit_core.synthetic import draw_digits
from digit_core.types import TrainConfig

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras under NumPy 2.4
    pytest.mark.usefixtures("bank"),
]
BOMB = 450 * 2**20  # bytes


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def keras():
    return import_keras()


@pytest.fixture(scope="module")
def digits():
    return draw_digits(3000, seed=5)


@pytest.fixture(scope="module")
def dense(keras, digits):
    """What a first tutorial ends with: 784 numbers in 0-1, softmax."""
    layers = keras.layers
    network = keras.Sequential(
        [keras.Input((784,)), layers.Dense(64, activation="relu"), layers.Dense(10, activation="softmax")]
    )
    return fit(network, digits[0].reshape(-1, 784) / 255, digits[1], from_logits=False)


@pytest.fixture(scope="module")
def convolutional(keras, digits):
    """A network that is given bytes and answers with logits."""
    layers = keras.layers
    image = keras.Input((28, 28))
    hidden = layers.Rescaling(1 / 255)(layers.Reshape((28, 28, 1))(image))
    hidden = layers.Flatten()(layers.Conv2D(8, 5, strides=2, activation="relu")(hidden))
    return fit(keras.Model(image, layers.Dense(10)(hidden)), digits[0].astype(float), digits[1], from_logits=True)


def fit(network, x, y, from_logits):
    keras = import_keras()
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    network.fit(x, y, epochs=4, batch_size=50, verbose=0)
    return network


def stack(keras, shape, *layers):
    return keras.Sequential([keras.Input(shape), *layers])


def save(network, path):
    network.save(path)
    return path


def rewrite(path, change):
    """Write a `.zip` or `.keras` file anew; change gets its contents by name."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def stored(settings):
    return [path.name for path in settings.models.glob("*")]


# Keras networks


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_network_of_keras_is_stored_and_reads_as_it_did(dense, settings, tmp_path, ending):
    result = run("models", "import", save(dense, tmp_path / f"first.{ending}"))
    assert (result.exit_code, "Measuring it on the test images" in result.stderr) == (0, True)
    info = load_info("first", settings)
    assert (info.architecture, info.imported, info.parameters) == ("ann", True, 784 * 64 + 64 + 640 + 10)
    assert info.test_accuracy > 0.8
    images, _ = draw_digits(300, seed=9)
    answers = load_classifier("first", settings).predict_probabilities(images)
    expected = dense.predict_on_batch(images.reshape(-1, 784) / 255)
    assert (answers.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.99


def test_a_network_that_takes_bytes_and_answers_with_logits_is_made_to_answer_as_ours(
    convolutional, settings, tmp_path
):
    info = import_model(save(convolutional, tmp_path / "mine.keras"), settings, "theirs", brightest=255)
    assert (info.model_id, info.architecture, info.test_accuracy > 0.8) == ("theirs", "cnn", True)
    network = load_network("theirs", settings)
    assert (network.input_shape, network.get_layer("features").output.shape[0]) == ((None, 28, 28, 1), None)
    answers = np.asarray(network(np.zeros((2, 28, 28, 1), np.float32)))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_a_network_that_was_made_for_something_else_is_doubted(keras, settings, tmp_path):
    network = stack(keras, (28, 28), keras.layers.Flatten(), keras.layers.Dense(10))
    result = run("models", "import", save(network, tmp_path / "random.keras"), "--json")
    assert json.loads(result.stdout)["test_accuracy"] < 0.5
    assert "reads few digits" in result.stderr


@pytest.mark.parametrize("shape", [(32, 32, 1), (28, 28, 3), (783,)])
def test_a_network_for_other_images_is_refused(keras, shape):
    network = stack(keras, shape, keras.layers.Flatten(), keras.layers.Dense(10))
    with pytest.raises(ModelUnavailable, match="Give one that reads images of"):
        adapt_network(network, 1)


def test_a_network_with_other_answers_is_refused(keras):
    with pytest.raises(ModelUnavailable, match=r"answers \[\(None, 11\)\]"):
        adapt_network(stack(keras, (784,), keras.layers.Dense(11)), 1)


def test_a_network_of_sigmoids_is_refused(keras):
    with pytest.raises(ModelUnavailable, match="each digit by itself"):
        adapt_network(stack(keras, (784,), keras.layers.Dense(10, activation="sigmoid")), 1)


def test_a_network_that_answers_with_no_numbers_is_refused(keras):
    network = stack(keras, (784,), keras.layers.Dense(10))
    network.set_weights([np.full((784, 10), np.nan), np.zeros(10)])
    with pytest.raises(ModelUnavailable, match="no number"):
        adapt_network(network, 1)


def test_a_network_without_weights_is_refused(keras):
    layers = keras.layers
    means = stack(keras, (784,), layers.Reshape((784, 1)), layers.AveragePooling1D(78), layers.Flatten())
    with pytest.raises(ModelUnavailable, match="one last layer with weights"):
        adapt_network(means, 1)


@pytest.mark.parametrize("kind", ["LSTM", "UpSampling2D"])
def test_layers_that_cannot_be_converted_are_refused_and_nothing_is_left(keras, settings, tmp_path, kind):
    layers = keras.layers
    upsampled = layers.UpSampling2D(2, interpolation="lanczos3"), layers.Flatten()
    shape, odd = {"LSTM": ((28, 28), [layers.LSTM(8)]), "UpSampling2D": ((28, 28, 1), upsampled)}[kind]
    network = stack(keras, shape, *odd, layers.Dense(10))
    with pytest.raises(ModelUnavailable, match="converted to LiteRT"):
        import_model(save(network, tmp_path / "odd.keras"), settings)
    assert stored(settings) == []


# Hostile files


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_lambda_is_refused_and_never_run(keras, settings, tmp_path, ending):
    mark = tmp_path / "was-run"
    layer = keras.layers.Lambda(lambda x, name=str(mark): [Path(name).touch(), x][1])
    path = save(stack(keras, (784,), layer, keras.layers.Dense(10)), tmp_path / f"lambda.{ending}")
    mark.unlink()  # it is run whenever the network is built
    result = run("models", "import", path)
    assert (result.exit_code, "not Keras's own, like Lambda" in result.stderr) == (1, True)
    assert not mark.exists()
    assert stored(settings) == []


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_layer_of_one_s_own_is_refused(keras, tmp_path, ending):
    class Mine(keras.layers.Layer):
        def call(self, x):
            return x

    path = save(stack(keras, (784,), Mine(), keras.layers.Dense(10)), tmp_path / f"own.{ending}")
    with pytest.raises(ModelUnavailable, match="layers that are not Keras's own"):
        load_foreign(path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_file_that_is_cut_short_is_refused(dense, tmp_path, ending):
    path = save(dense, tmp_path / f"short.{ending}")
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ModelUnavailable, match="it is damaged"):
        load_foreign(path)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize("ending", ["keras", "h5", "zip"])
def test_a_pickle_is_never_opened(settings, tmp_path, ending):
    path = tmp_path / f"pickled.{ending}"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ModelUnavailable, match="damaged"):
        import_model(path, settings)


@pytest.mark.parametrize("ending", ["keras", "zip"])
def test_a_zip_that_unpacks_to_very_much_is_refused_unread(settings, tmp_path, ending):
    path = tmp_path / f"bomb.{ending}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("model.weights.h5", "model.keras", "model.tflite", "evaluation.json", "metadata.json"):
            if name.endswith("h5") == (ending == "keras"):
                archive.writestr(name, bytes(BOMB) if name.startswith("model.") and "tflite" not in name else b"{}")
    with pytest.raises(ModelUnavailable if ending == "zip" else TooLarge):
        import_model(path, settings)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_that_claim_to_be_very_many_are_refused_unread(dense, tmp_path, ending):
    weights = tmp_path / "weights.h5"
    with h5py.File(weights, "w") as file:
        file.create_dataset("layers/kernel", (10**9,), "float32", chunks=(10**6,), compression="gzip")
    path = weights
    if ending == "keras":
        path = save(dense, tmp_path / "many.keras")
        rewrite(path, lambda contents: contents.update({"model.weights.h5": weights.read_bytes()}))
    with pytest.raises(TooLarge, match="Give a smaller network"):
        load_foreign(path)


def test_layers_that_claim_more_than_their_weights_hold_take_no_memory(dense, tmp_path):
    path = save(dense, tmp_path / "claims.keras")

    def change(contents):
        claimed = contents["config.json"].replace(b'"units": 64', b'"units": 100000000')
        contents["config.json"] = claimed.replace(b"[null, 64]", b"[null, 100000000]")

    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        load_foreign(rewrite(path, change))


def test_a_network_with_too_many_parameters_is_refused(dense, tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "MAX_PARAMETERS", 1000)
    with pytest.raises(TooLarge, match="50,890 parameters"):
        load_foreign(save(dense, tmp_path / "large.keras"))


# Archives


@pytest.fixture
def archive(settings, tmp_path):
    path = tmp_path / "cnn.zip"
    path.write_bytes(export_model(load_info("cnn", settings), ".zip", settings))
    return path


def test_what_was_exported_is_the_same_model_where_it_is_imported(archive, settings):
    assert run("models", "import", archive, "--id", "copy").exit_code == 0
    info, origin = load_info("copy", settings), load_info("cnn", settings)
    assert (info.sha256, info.calibration, info.imported) == (origin.sha256, origin.calibration, False)
    assert [run.status for run in runs.list_runs(settings)] == ["finished"]
    images, _ = draw_digits(20, seed=1)
    both = [load_classifier(model_id, settings).predict_probabilities(images) for model_id in ("copy", "cnn")]
    np.testing.assert_array_equal(*both)


def test_a_model_keeps_its_id_unless_it_is_taken(archive, settings):
    result = run("models", "import", archive)
    assert (result.exit_code, "Choose another id with --id" in result.stderr) == (1, True)
    rewrite(archive, lambda contents: contents.update(change_metadata(contents, model_id="hers")))
    assert import_model(archive, settings).model_id == "hers"


def change_metadata(contents, **values):
    return {"metadata.json": json.dumps(json.loads(contents["metadata.json"]) | values).encode()}


@pytest.mark.parametrize("name", ["model.keras", "model.tflite", "evaluation.json"])
def test_a_file_that_was_changed_is_named(archive, settings, name):
    rewrite(archive, lambda contents: contents.update({name: contents[name] + b" "}))
    with pytest.raises(ModelUnavailable, match=f"{name} in .* is not the one that was exported"):
        import_model(archive, settings, "copy")
    assert stored(settings) == []


@pytest.mark.parametrize("name", ["../outside", "/outside", "sub/model.keras", "events.jsonl"])
def test_an_archive_with_other_names_is_refused(archive, settings, name):
    rewrite(archive, lambda contents: contents.update({name: b"content"}))
    with pytest.raises(ModelUnavailable, match="no archive of a model"):
        import_model(archive, settings, "copy")


def test_a_link_is_not_followed(archive, settings):
    rewrite(archive, lambda contents: contents.pop("model.keras"))
    link = zipfile.ZipInfo("model.keras")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(link, str(STARTERS / "cnn" / "model.keras"))
    with pytest.raises(ModelUnavailable, match=r"model\.keras in .* is not the one"):
        import_model(archive, settings, "copy")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_files_of_one_name_are_refused(archive, settings):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("model.tflite", b"another")
    with pytest.raises(ModelUnavailable, match="no archive of a model"):
        import_model(archive, settings, "copy")


@pytest.mark.parametrize("length", [0, 100, 50_000])
def test_an_archive_that_is_cut_short_is_damaged(archive, settings, length):
    archive.write_bytes(archive.read_bytes()[:length])
    with pytest.raises(ModelUnavailable, match="is damaged"):
        import_model(archive, settings, "copy")


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"epochs": "many"}},
        {"test_loss": None},
        {"sha256": {}},
        {"model_id": "../x"},
        {"model_id": None},
        {"dataset": 5},
        {"architecture": 7},
        {"versions": [1]},
        {"calibration": {"temperature": 1.0, "threshold": 0.1, "x": "y"}},
        {"test_accuracy": 99},
        {"parent_id": ["x"]},
    ],
)
def test_metadata_that_holds_something_else_is_refused(archive, settings, values):
    rewrite(archive, lambda contents: contents.update(change_metadata(contents, **values)))
    with pytest.raises(DigitError):
        import_model(archive, settings)
    assert stored(settings) == []


@pytest.mark.parametrize("name", ["model.tflite", "evaluation.json"])
def test_a_network_that_does_not_read_is_refused_whatever_its_digest(archive, settings, name):
    def change(contents):
        contents[name] = b"{}"
        digests = json.loads(contents["metadata.json"])["sha256"] | {name: hashlib.sha256(b"{}").hexdigest()}
        contents.update(change_metadata(contents, sha256=digests))

    with pytest.raises(ModelUnavailable):
        import_model(rewrite(archive, change), settings, "copy")
    assert stored(settings) == []


# The door, and what becomes of an imported model


@pytest.mark.parametrize("name", ["model.onnx", "missing.keras"])
def test_what_cannot_be_imported_is_wrong_usage(tmp_path, name):
    (tmp_path / "model.onnx").write_bytes(b"content")
    assert run("models", "import", tmp_path / name).exit_code == 2


@pytest.fixture
def imported(settings):
    """A model as an import leaves it: no run made it."""
    folder = settings.models / "theirs"
    shutil.copytree(STARTERS / "ann", folder, ignore=shutil.ignore_patterns("config.json"))
    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps(metadata | {"imported": True}))
    return folder


def test_an_imported_network_is_a_model_but_no_run(imported, settings):
    assert "theirs" in [info.model_id for info in list_models(settings)]
    assert runs.list_runs(settings) == []
    assert "elsewhere" in run("models", "show", "theirs").output


def test_an_imported_network_is_deleted_and_brought_back(imported, settings):
    assert run("models", "delete", "theirs", "--yes").exit_code == 0
    assert not imported.exists()
    assert run("models", "restore", "theirs").exit_code == 0
    assert load_info("theirs", settings).imported


def test_an_imported_network_goes_on_to_another_machine_and_stays_an_imported_one(imported, settings, tmp_path):
    assert run("models", "export", "theirs", tmp_path / "theirs.zip").exit_code == 0
    assert import_model(tmp_path / "theirs.zip", settings, "again").imported
    assert runs.list_runs(settings) == []


@pytest.mark.parametrize("role", ["base_model_id", "teacher_id"])
def test_an_imported_network_neither_teaches_nor_is_taught(imported, settings, role):
    with pytest.raises(ModelUnavailable, match="can neither teach nor be taught"):
        runs.create_run(TrainConfig(dataset="synthetic", **{role: "theirs"}), settings)


@pytest.fixture
def interruptible():
    """What starts in the background of a shell ignores an interrupt, and so would its children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_import_that_is_interrupted_leaves_nothing(dense, settings, tmp_path):
    command = [sys.executable, "-m", "digit_core", "models", "import", str(save(dense, tmp_path / "dense.keras"))]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("Starting TensorFlow")
        while process.poll() is None:  # a library may swallow one, and a person presses again
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        words = process.stderr.read()
    assert (process.returncode, "Traceback" in words) == (1, False)
    assert stored(settings) == []
