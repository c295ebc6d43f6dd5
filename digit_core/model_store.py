"""Models on disk: a folder each, named by the model's id.

`model.keras` is for training, `model.tflite` for serving, `metadata.json` is written last: a folder without it is no
model. Every file is written whole or not at all, and read back only if its SHA-256 is the one in the metadata. The
starters `ann` and `cnn` are always read from the checkout, other models from `Settings.models`.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np

from digit_core.architectures import accuracy, import_keras
from digit_core.errors import InvalidConfig, ModelUnavailable, StorageFailed
from digit_core.settings import STARTERS, Settings
from digit_core.types import (
    MODEL_ID,
    STARTER_IDS,
    Architecture,
    Checkpoint,
    Evaluation,
    ModelInfo,
    TrainConfig,
    TrainEvent,
)

DEFAULT = "default.json"
METADATA, CONFIG, EVALUATION = "metadata.json", "config.json", "evaluation.json"
CHECKPOINT, PROGRESS = "checkpoint.keras", "progress.json"
NETWORK_FILES = ("model.keras", "model.tflite")
STORED_FILES = (*NETWORK_FILES, EVALUATION)  # whose digests are in the metadata
LEAST_TEMPERATURE = 0.01  # far below what calibration chooses
MAX_FILE_BYTES = 200 * 2**20


def list_models(settings: Settings) -> list[ModelInfo]:
    """Return the models that can serve: the starters, then the others, newest first; damaged ones are left out."""
    infos = []
    for folder in _list_folders(settings):
        with contextlib.suppress(ModelUnavailable):
            infos.append(_read_info(folder))
    rank = {model_id: place for place, model_id in enumerate(STARTER_IDS)}
    return sorted(infos, key=lambda info: (rank.get(info.model_id, len(rank)), -info.created_at.timestamp()))


def list_damaged(settings: Settings) -> dict[str, str]:
    """Why models cannot serve whose metadata cannot be read, by their ids; the sentence says what to do."""
    damaged = {}
    for folder in sorted(_list_folders(settings)):
        try:
            if (folder / METADATA).exists():  # what has none is no model yet
                _read_info(folder)
        except ModelUnavailable as error:
            damaged[folder.name] = str(error)
        except OSError:
            pass  # nor is what cannot be looked into
    return damaged


def _list_folders(settings: Settings) -> list[Path]:
    """The folders of the starters, then those of what may be models."""
    folders = [STARTERS / model_id for model_id in STARTER_IDS]
    with contextlib.suppress(OSError):  # no folder yet: no model yet
        named = (folder for folder in settings.models.iterdir() if MODEL_ID.fullmatch(folder.name))
        folders += [folder for folder in named if folder.name not in STARTER_IDS]
    return folders


def load_info(model_id: str, settings: Settings) -> ModelInfo:
    """Read what is known of a model. Raises ModelUnavailable when there is none of that id, or it is damaged."""
    return _read_info(model_folder(model_id, settings))


def load_default(settings: Settings) -> str:
    """The id of the model that reads where none is named: the one that `save_default` chose, else the first starter."""
    return _find_chosen("model_id", settings) or STARTER_IDS[0]


def find_previous(settings: Settings) -> str:
    """The id of the model to go back to: who read before the default one was chosen, else what that one came from."""
    default = load_default(settings)
    before = _find_chosen("before", settings)
    if before and before != default:
        return before
    with contextlib.suppress(ModelUnavailable):
        if parent := load_info(default, settings).parent_id:
            return load_info(parent, settings).model_id
    return STARTER_IDS[0]


def _find_chosen(name: str, settings: Settings) -> str | None:
    try:
        model_id = json.loads((settings.models / DEFAULT).read_bytes())[name]
        return _read_info(model_folder(model_id, settings)).model_id
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ModelUnavailable):  # never chosen, or gone since
        return None


def save_default(model_id: str, settings: Settings) -> None:
    """Let a model read where none is named. Raises ModelUnavailable, StorageFailed."""
    before = load_default(settings)
    if before == model_id:
        before = find_previous(settings)
    content = to_json({"model_id": load_info(model_id, settings).model_id, "before": before})
    with storing(settings.models):
        settings.models.mkdir(parents=True, exist_ok=True)
    write_file(settings.models / DEFAULT, content)


def model_folder(model_id: str, settings: Settings) -> Path:
    """Return the folder of a model or run, which need not exist. Raises ModelUnavailable for an id that is no name."""
    if not MODEL_ID.fullmatch(model_id):
        raise ModelUnavailable(f"{model_id!r:.80} is no model id. Use small letters, digits, '-' and '_', at most 64.")
    return STARTERS / model_id if is_starter(model_id) else settings.models / model_id


def is_starter(model_id: str) -> bool:
    """Whether a model is one of the starters; one that was taken away may be trained again under its id."""
    return model_id in STARTER_IDS and (STARTERS / model_id / METADATA).exists()


def read_model_file(info: ModelInfo, name: str, settings: Settings) -> bytes:
    """Read one of a model's files. Raises ModelUnavailable when it is missing or not the one that was stored."""
    path = model_folder(info.model_id, settings) / name
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else b""
    except OSError:
        raise ModelUnavailable(f"Model {info.model_id} has no readable {name}. Train it again or restore it.") from None
    if hashlib.sha256(content).hexdigest() != info.sha256.get(name):
        raise ModelUnavailable(
            f"{name} of model {info.model_id} was changed after training. Restore it or train again."
        )
    return content


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as `checkpoint.keras`, whose archive also holds what is not the network's. StorageFailed."""
    progress = {"epochs": [dataclasses.asdict(event) for event in checkpoint.epochs], "sha256": checkpoint.sha256}
    with storing(folder), tempfile.TemporaryDirectory(dir=folder, prefix="checkpoint-") as scratch:
        path = Path(scratch) / CHECKPOINT
        checkpoint.network.save(path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(PROGRESS, to_json(progress))
        path.replace(folder / CHECKPOINT)


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """Read what `save_checkpoint` wrote; None if it did not. Raises ModelUnavailable when the file is damaged."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    keras = import_keras()
    try:
        with zipfile.ZipFile(path) as archive:
            progress = json.loads(archive.read(PROGRESS))
        epochs = tuple(TrainEvent(**event | {"answers": tuple(event["answers"])}) for event in progress["epochs"])
        network = keras.models.load_model(path, custom_objects={"accuracy": accuracy})
        return Checkpoint(network, epochs, progress["sha256"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise ModelUnavailable(
            f"The checkpoint of run {folder.name} is damaged. Start a new run with the same settings."
        ) from None


def load_network(model_id: str, settings: Settings) -> Any:
    """Load a stored model for Keras, not compiled. Raises ModelUnavailable, TrainingUnavailable."""
    keras = import_keras()
    content = read_model_file(load_info(model_id, settings), NETWORK_FILES[0], settings)
    with storing(Path(tempfile.gettempdir())):
        scratch = tempfile.TemporaryDirectory()
    with scratch as folder:
        path = Path(folder) / NETWORK_FILES[0]
        write_file(path, content)
        try:
            return keras.models.load_model(path, compile=False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelUnavailable(f"{path.name} of model {model_id} cannot be read. Restore it.") from error


def save_network(network: Any, reader: Any, judge: Any, folder: Path) -> None:
    """Write a Keras model as `model.keras`, without its optimizer, and the reader made of it as `model.tflite`.

    The latter holds its weights as int8, which LiteRT multiplies four times as fast, and has three outputs: the
    reader's `probabilities` and `features`, and the `digit_score` that the judge, a Keras model, makes of both. Raises
    StorageFailed when the folder cannot be written, TrainingUnavailable without TensorFlow.
    """
    keras = import_keras()
    import tensorflow

    with storing(folder), tempfile.TemporaryDirectory(dir=folder, prefix="export-") as scratch:
        network.compile()
        paths = [Path(scratch) / name for name in NETWORK_FILES]
        network.save(paths[0])
        features, probabilities = reader.outputs
        score = judge(reader.outputs)
        outputs = {"probabilities": probabilities, "features": features, "digit_score": score}
        keras.Model(reader.input, outputs).export(
            paths[1],
            format="litert",
            verbose=False,
            optimizations=[tensorflow.lite.Optimize.DEFAULT],
        )
        for path in paths:
            path.replace(folder / path.name)


def save_model(
    folder: Path,
    config: TrainConfig,
    parameters: int,
    train_metrics: dict[str, float],
    evaluation: Evaluation,
    calibration: dict[str, float],
    imported: bool = False,
) -> ModelInfo:
    """Complete a folder that holds the two network files: evaluation, then metadata, which makes it a model.

    train_metrics holds the last epoch's loss (nats) and accuracy; imported: the network is not one that config builds.
    """
    import tensorflow

    write_file(folder / EVALUATION, to_json(evaluation))
    files = {name: (folder / name).read_bytes() for name in STORED_FILES}
    info = ModelInfo(
        model_id=folder.name,
        architecture=config.architecture,
        created_at=datetime.now(UTC),
        parent_id=config.base_model_id,
        parameters=parameters,
        size_bytes=len(files["model.tflite"]),
        train_accuracy=train_metrics["accuracy"],
        train_loss=train_metrics["loss"],
        test_accuracy=evaluation.accuracy,
        test_loss=evaluation.loss,
        calibration=calibration,
        dataset=config.dataset,
        sha256={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        versions={
            "python": ".".join(map(str, sys.version_info[:3])),
            "tensorflow": tensorflow.__version__,  # its package may be called tensorflow-cpu
            **{name: version(name) for name in ("keras", "ai-edge-litert", "numpy")},
        },
        config=config,
        imported=imported,
    )
    write_file(folder / METADATA, to_json(info))
    return info


def load_evaluation(info: ModelInfo, settings: Settings) -> Evaluation:
    """Read how a model did on its test images. Raises ModelUnavailable when the file is missing, changed or damaged."""
    content = read_model_file(info, EVALUATION, settings)
    try:
        values = json.loads(content).items()
        arrays: dict[str, Any] = {n: np.array(value) if isinstance(value, list) else value for n, value in values}
        evaluation = Evaluation(**arrays)
        _check_evaluation(evaluation)
        return evaluation
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise ModelUnavailable(
            f"The evaluation of model {info.model_id} cannot be read. Restore it or train again."
        ) from None


def _check_evaluation(evaluation: Evaluation) -> None:
    """Raise ValueError or TypeError for figures that are none."""
    if not (0 <= evaluation.accuracy <= 1 and 0 <= evaluation.ece <= 1 and 0 <= evaluation.loss < math.inf):
        raise ValueError("a figure is out of its range")
    counts = (evaluation.confusion_matrix, (10, 10)), (evaluation.support, (10,))
    shares = [(each, (10,)) for each in (evaluation.precision, evaluation.recall, evaluation.f1)]
    if not all(each.shape == shape and (each >= 0).all() for each, shape in (*counts, *shares)):
        raise ValueError("a row of figures is too short, too long or below 0")
    if not all(each.dtype.kind == "i" for each, _ in counts) or evaluation.mistakes.ndim != 1:
        raise ValueError("what counts is no whole number")


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """Build a TrainConfig from JSON values. Raises InvalidConfig for a name or a kind of value it does not know."""
    if not isinstance(values, dict):
        raise InvalidConfig(f"Settings must be an object of names and values, not {type(values).__name__}.")
    known = {field.name for field in dataclasses.fields(TrainConfig)}
    if unknown := set(values) - known:
        raise InvalidConfig(f"Unknown settings: {', '.join(sorted(unknown))}. Choose from {', '.join(sorted(known))}.")
    settings: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in values.items()}
    for name, value in settings.items():
        if not _is_like(value, getattr(TrainConfig, name)):
            raise InvalidConfig(f"The setting {name} is {value!r:.60}. Give it as {getattr(TrainConfig, name)!r}, say.")
    return TrainConfig(**settings)


def _is_like(value: Any, example: Any) -> bool:
    """Whether a value is of the kind of an example: a truth, a whole number, a number, text or whole numbers."""
    if isinstance(example, bool) or isinstance(value, bool):
        return isinstance(example, bool) and isinstance(value, bool)
    if isinstance(example, tuple):
        return isinstance(value, tuple) and all(_is_like(each, 1) for each in value)
    if isinstance(example, float):
        return isinstance(value, int | float)
    return isinstance(value, str | None if example is None else type(example))


def to_json(noun: Any) -> bytes:
    """Write one of the nouns, a dataclass or a dict, as indented JSON."""
    values = dataclasses.asdict(noun) if dataclasses.is_dataclass(noun) and not isinstance(noun, type) else noun

    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        raise TypeError(f"{type(value).__name__} has no JSON form")

    return (json.dumps(values, indent=1, default=plain) + "\n").encode()


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises StorageFailed when the disk does not take it."""
    with storing(path.parent):
        partial = path.with_name(f"{path.name}.partial-{os.getpid()}-{threading.get_ident()}")
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def storing(folder: Path) -> Iterator[None]:
    """Raise StorageFailed, a sentence, when the folder's disk does not take what is written."""
    try:
        yield
    except BrokenPipeError:
        raise  # a reader that went away is no full disk
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageFailed(
            f"{folder} could not be written: {reason}. Free some space, or choose another folder."
        ) from error


def _read_info(folder: Path) -> ModelInfo:
    try:
        values = json.loads((folder / METADATA).read_bytes())
        if not all(isinstance(values["sha256"][name], str) for name in NETWORK_FILES):
            raise ValueError("a digest is no text")
        temperature, threshold = (values["calibration"][name] for name in ("temperature", "threshold"))
        if not (LEAST_TEMPERATURE <= temperature <= 1 / LEAST_TEMPERATURE and 0 <= threshold <= 1):
            raise ValueError("the calibration is no pair of numbers")
        if not all(_is_like(value, 0.0) for value in values["calibration"].values()):
            raise ValueError("the calibration holds what is no number")
        if values["architecture"] not in get_args(Architecture) or not isinstance(values["dataset"], str):
            raise ValueError("the kind of network or the data set has no such name")
        if not all(isinstance(words, str) for words in values["versions"].values()):
            raise ValueError("a version is no text")
        if not isinstance(values["parent_id"], str | None):
            raise ValueError("the parent is no id")
        if not all(_is_like(values[name], 0) for name in ("parameters", "size_bytes")):
            raise ValueError("a count is no number")
        if not all(0 <= values[f"{of}_{what}"] < math.inf for of in ("train", "test") for what in ("accuracy", "loss")):
            raise ValueError("a figure is no number")
        if max(values["train_accuracy"], values["test_accuracy"]) > 1:
            raise ValueError("an accuracy is above 1")
        values.setdefault("imported", False)  # older ones do not tell
        if not isinstance(values["imported"], bool):
            raise ValueError("imported is no truth")
        created_at = datetime.fromisoformat(values["created_at"])
        created_at.timestamp()  # models are sorted by it
        config = config_from_json(values["config"])
        return ModelInfo(**values | {"model_id": folder.name, "created_at": created_at, "config": config})
    except (FileNotFoundError, NotADirectoryError):
        raise ModelUnavailable(
            f"There is no model {folder.name!r}. `python -m digit_core models list` names them."
        ) from None
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, AttributeError, InvalidConfig):
        raise ModelUnavailable(
            f"The metadata of model {folder.name!r} cannot be read. Restore it or train again."
        ) from None
