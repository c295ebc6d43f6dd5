"""Models from files: one that was exported elsewhere, with its own figures, or a Keras network, measured first."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.architectures import CLASSES, STRAIGHT, make_reader
from digit_core.bank import load_bank
from digit_core.classifier import Network, load_classifier
from digit_core.datasets import find_mnist, load_mnist, load_synthetic
from digit_core.digit_score import learn_digit_score
from digit_core.errors import DigitError, ModelUnavailable
from digit_core.evaluation import calibrate, evaluate
from digit_core.foreign import ENDINGS, adapt_network, has_convolution, load_foreign
from digit_core.measuring import measure
from digit_core.model_archive import read_archive
from digit_core.model_store import (
    CONFIG,
    METADATA,
    STORED_FILES,
    load_evaluation,
    load_info,
    model_folder,
    save_model,
    save_network,
    storing,
    to_json,
    write_file,
)
from digit_core.runs import save_pictures
from digit_core.settings import Settings
from digit_core.training import to_input
from digit_core.types import MODEL_ID, Architecture, Dataset, ModelInfo, TrainConfig

FORMATS = (".zip", *ENDINGS)
CALIBRATING = 5_000  # images: MNIST's last training images, which may have been learned, or digits of the program
COMPARED = 200  # test images that the network reads before and after its conversion
NOT_CONVERTED = (
    "The network cannot be converted to LiteRT, or does not answer the same then. Give one of other layers: dense ones "
    "and convolutions are sure to."
)
MOST_APART = 0.02  # largest difference in an image's probabilities, in the mean: weights are stored in eight bits


def import_model(
    path: Path,
    settings: Settings,
    model_id: str | None = None,
    brightest: int = 1,
    on_progress: Callable[[str], None] = lambda what: None,
) -> ModelInfo:
    """Store the model that a file holds, whose name ends in one of FORMATS, under an id of its own.

    model_id: the id that it had, or the file's name, if left out; brightest: the value, 1 or 255, that a Keras network
    takes full ink for. All is made in a folder aside, which becomes the model in one step. Raises ModelUnavailable,
    TooLarge, DataUnavailable, TrainingUnavailable, StorageFailed.
    """
    contents = read_archive(path) if path.suffix.lower() == ".zip" else {}
    name = model_id or (str(json.loads(contents[METADATA]).get("model_id", "")) if contents else path.stem.lower())
    if not MODEL_ID.fullmatch(name):
        raise ModelUnavailable(f"{name!r:.80} is no id. Choose one of small letters, digits, '-' and '_' with --id.")
    target = model_folder(name, settings)
    if target.exists():
        raise ModelUnavailable(f"There is a model or run {name!r} already. Choose another id with --id.")
    with storing(settings.models):
        settings.models.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=settings.models, prefix=".import-")
    with scratch as aside:
        folder = Path(aside) / name
        with storing(settings.models):
            folder.mkdir()
        if contents:
            _unpack(contents, folder, replace(settings, models=Path(aside)))
        else:
            _adopt(path, folder, settings, brightest, on_progress)
        load_info(name, replace(settings, models=Path(aside)))
        if target.exists():
            raise ModelUnavailable(f"There is a model or run {name!r} now. Choose another id with --id.")
        with storing(settings.models):
            folder.rename(target)
    return load_info(name, settings)


def _unpack(contents: dict[str, bytes], folder: Path, settings: Settings) -> None:
    """Write the files of an archive, and try whether the model reads."""
    for name in (*STORED_FILES, METADATA):
        write_file(folder / name, contents[name])
    info = load_info(folder.name, settings)
    try:
        load_evaluation(info, settings)
        answers, scores = load_classifier(folder.name, settings).judge(np.zeros((2, 28, 28), np.uint8))
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise ModelUnavailable(f"The model {folder.name} is damaged: {error}. Export it again.") from error
    if answers.shape != (2, CLASSES) or not np.isfinite(answers).all():
        raise ModelUnavailable(f"The model {folder.name} does not answer with ten probabilities. Export another one.")
    if scores.shape != (2,) or not ((scores >= 0) & (scores <= 1)).all():
        raise ModelUnavailable(f"The model {folder.name} does not tell a digit score of 0 to 1. Export another one.")
    if not info.imported:
        write_file(folder / CONFIG, to_json(info.config))


def _load_images(settings: Settings, on_progress: Callable[[str], None]) -> Dataset:
    if find_mnist(settings):
        return load_mnist(settings)
    return load_synthetic(settings, lambda share: on_progress(f"Drawing digits: {100 * share:.0f} %"))


def _adopt(path: Path, folder: Path, settings: Settings, brightest: int, on_progress: Callable[[str], None]) -> None:
    """Make a model of a Keras network: adapted, converted, measured."""
    on_progress("Starting TensorFlow, which takes some seconds")
    network = load_foreign(path)
    adapted = adapt_network(network, brightest)
    on_progress("Fetching the images")
    dataset = _load_images(settings, on_progress)
    validation = dataset.x_train[-CALIBRATING:], dataset.y_train[-CALIBRATING:]
    on_progress("Drawing digits and scribbles, learning what is no digit, and converting the network")
    learned = dataset.x_train[:-CALIBRATING], dataset.y_train[:-CALIBRATING]
    bank = load_bank(settings)
    try:
        reader = make_reader(adapted, (STRAIGHT,))
        judge = learn_digit_score(reader, bank, *learned, [validation[0]])
        save_network(adapted, reader, judge, folder)
    except DigitError:
        raise
    except Exception as error:  # whatever it is, it is this network's
        raise ModelUnavailable(NOT_CONVERTED) from error
    read = _load_served(folder, adapted, dataset.x_test[:COMPARED])
    on_progress(f"Measuring it on the test images of {dataset.name}")
    evaluation, calibration, mistakes = measure(read, validation, (dataset.x_test, dataset.y_test), seed=0)
    known = evaluate(validation[1], calibrate(read(validation[0]), calibration))
    save_pictures(folder, "mistakes", mistakes)
    kind: Architecture = "cnn" if has_convolution(network) else "ann"
    config = TrainConfig(kind, dataset.name, epochs=0, hidden_units=(), filters=())
    train_metrics = {"loss": known.loss, "accuracy": known.accuracy}
    save_model(folder, config, network.count_params(), train_metrics, evaluation, calibration, imported=True)


def _load_served(folder: Path, network: Any, images: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """What reads as the served network does, once that is known to answer like the one it was made from."""
    try:
        read = Network((folder / "model.tflite").read_bytes()).probabilities
        apart = float(np.abs(read(images) - np.asarray(network(to_input(images), training=False))).max(axis=1).mean())
    except (ModelUnavailable, RuntimeError, ValueError):
        apart = 1.0
    if not apart <= MOST_APART:  # nor where it is no number
        raise ModelUnavailable(NOT_CONVERTED)
    return read
