"""A Keras network that was made elsewhere -> one of our form. Nothing that its file holds is run as a program."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.architectures import CLASSES, check_tensorflow, import_keras
from digit_core.arrays import ARCHIVE_ERRORS
from digit_core.errors import ModelUnavailable, TooLarge
from digit_core.model_store import MAX_FILE_BYTES
from digit_core.strokes import SIDE
from digit_core.synthetic import draw_digits
from digit_core.training import MAX_PARAMETERS, to_input

ENDINGS = (".keras", ".h5")
INPUTS = [(None, SIDE, SIDE, 1), (None, SIDE, SIDE), (None, SIDE * SIDE)]
MAX_BYTES = 2 * MAX_FILE_BYTES  # the state of an optimizer may be among them
MEMBERS = 1_000  # of a .keras file, which is a zip, and arrays of weights
PROBES = 50  # digits by which the kind of answers is told


def load_foreign(path: Path) -> Any:
    """Load a Keras network, not compiled, from a `.keras` or `.h5` file.

    Raises TooLarge, ModelUnavailable for a file that is damaged or has layers that are not Keras's own, and
    TrainingUnavailable without TensorFlow.
    """
    check_tensorflow()
    try:
        _check_file(path)
        keras = import_keras()
        try:
            with keras.StatelessScope(initialize_variables=False):  # allocates nothing that is not stored
                network = keras.models.load_model(path, compile=False, safe_mode=True)
        finally:
            keras.utils.clear_session()  # forgets the variables that were never made
        if network.count_params() > MAX_PARAMETERS:
            raise TooLarge(
                f"The network in {path} has {network.count_params():,} parameters. Give one of at most "
                f"{MAX_PARAMETERS:,}."
            )
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (*ARCHIVE_ERRORS, AttributeError, IndexError, ImportError) as error:
        raise ModelUnavailable(
            f"{path} cannot be loaded: it is damaged, or has layers that are not Keras's own, like Lambda. Save the "
            "whole network with Keras 3, of Keras's layers alone."
        ) from error


def _check_file(path: Path) -> None:
    """Look at what a file, and the weights in it, would unpack to, before anything is. Raises TooLarge."""
    import h5py

    weights: Any = path
    _check_sizes(path, [path.stat().st_size])
    if path.suffix.lower() == ".keras":
        with zipfile.ZipFile(path) as archive:
            _check_sizes(path, [item.file_size for item in archive.infolist()])
            weights = io.BytesIO(archive.read("model.weights.h5"))
    sizes: list[int] = []
    with h5py.File(weights) as file:
        file.visititems(lambda _, item: sizes.append(item.nbytes) if isinstance(item, h5py.Dataset) else None)
    _check_sizes(path, sizes)


def _check_sizes(path: Path, sizes: list[int]) -> None:
    if sum(sizes) > MAX_BYTES or len(sizes) > MEMBERS:
        raise TooLarge(f"{path} holds more than {MAX_BYTES / 2**20:.0f} MB, unpacked. Give a smaller network.")


def adapt_network(network: Any, brightest: int) -> Any:
    """Wrap a network so that it reads and answers as ours do: `(N, 28, 28, 1) float32` in 0-1 -> probabilities.

    brightest: the value, 1 or 255, that full ink has for it. What enters its last layer with weights becomes the layer
    `features`, and logits become probabilities. Raises ModelUnavailable for another shape or kind of answer.
    """
    keras = import_keras()
    shapes = [[tuple(each.shape) for each in getattr(network, side, None) or []] for side in ("inputs", "outputs")]
    if shapes[0] not in [[shape] for shape in INPUTS] or shapes[1] != [(None, CLASSES)]:
        raise ModelUnavailable(
            f"The network reads {shapes[0]} and answers {shapes[1]}. Give one that reads images of (28, 28, 1), "
            "(28, 28) or (784,) and answers with (10,)."
        )
    image = keras.Input((SIDE, SIDE, 1), name="image")
    read = keras.layers.Rescaling(float(brightest), name="scaled")(image)
    read = keras.layers.Reshape(shapes[0][0][1:], name="shaped")(read)
    body, head = _cut(keras, network)
    answers = head(keras.layers.Identity(name="features")(body(read)))
    try:
        said = np.asarray(keras.Model(image, answers)(to_input(draw_digits(PROBES, 0)[0]), training=False))
    except Exception as error:  # whatever it is, it is this network's
        raise ModelUnavailable(f"The network cannot read {PROBES} digits: {type(error).__name__}.") from error
    kind = _tell_kind(said)
    last = keras.layers.Softmax if kind == "logits" else keras.layers.Identity
    return keras.Model(image, last(dtype="float32", name="probabilities")(answers), name="imported")


def has_convolution(network: Any) -> bool:
    """Whether a Keras network, or one within it, has a convolution."""
    layers = getattr(network, "layers", ())
    return any("Conv" in type(layer).__name__ or has_convolution(layer) for layer in layers)


def _cut(keras: Any, network: Any) -> tuple[Any, Any]:
    """Part a network before its last layer with weights."""
    try:
        place = max(number for number, layer in enumerate(network.layers) if layer.weights)
        if isinstance(network, keras.Sequential):
            shape, layers = network.inputs[0].shape[1:], network.layers
            body = keras.Sequential([keras.Input(shape), keras.layers.Identity(), *layers[:place]], name="body")
            return body, keras.Sequential([keras.Input(body.outputs[0].shape[1:]), *layers[place:]], name="head")
        features = network.layers[place].input
        body = keras.Model(network.inputs[0], features, name="body")
        return body, keras.Model(features, network.outputs[0], name="head")
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelUnavailable(
            "The network's answer does not come from one last layer with weights of its own. Give one that ends in a "
            "Dense layer, not in another network."
        ) from error


def _tell_kind(answers: np.ndarray) -> str:
    """Tell whether answers to some digits, `(N, 10)`, are `probabilities` or `logits`."""
    if not np.isfinite(answers).all():
        raise ModelUnavailable("The network answers with what is no number. Train it again.")
    in_range = ((answers >= 0) & (answers <= 1)).all()
    if in_range and np.allclose(answers.sum(axis=1), 1, atol=1e-2):
        return "probabilities"
    if in_range:
        raise ModelUnavailable(
            "The network judges each digit by itself (sigmoid). Give one that answers with logits or softmax."
        )
    return "logits"
