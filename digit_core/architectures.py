"""The two networks: a dense one (ANN) and a convolutional one (CNN), built with Keras's functional API.

Keras, and TensorFlow below it, are imported only when a network is built: the server never does.
"""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from digit_core.errors import InvalidConfig, TrainingUnavailable
from digit_core.strokes import CENTRE, SIDE, turn
from digit_core.types import Layer, TrainConfig

CLASSES = 10
FEATURES = 1_024  # of an image, at most, by which it is compared and judged
STRAIGHT = 0.0, 0.0
VIEWS = STRAIGHT, (8.0, 0.7), (-8.0, -0.7)  # how an image is looked at: degrees clockwise, pixels right and down
HALF_PRECISION = {"avx512_bf16", "amx_bf16"}  # processor features with which bfloat16 is fast


def check_tensorflow() -> None:
    """Raise TrainingUnavailable where TensorFlow is not installed; it is not imported."""
    if importlib.util.find_spec("tensorflow") is None:
        raise TrainingUnavailable(
            "Training needs TensorFlow, which is not installed here (it has no release for Python 3.14 and later). "
            "Install the requirements under Python 3.11, 3.12 or 3.13. Drawing and reading work without it."
        )


def import_keras() -> ModuleType:
    """Import Keras on TensorFlow, which takes seconds. Raises TrainingUnavailable where TensorFlow is not installed."""
    check_tensorflow()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras

    return keras


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """The share of a batch's digits that are read right, as a Keras metric; what is no digit counts not.

    y_true, y_pred: tensors `(N, 10)`, rows summing to 1; the largest of y_true, which the teacher has a part in, is
    right, and a row without one is no digit. Returns `(N,)`, whose mean is that share.
    """
    from keras import ops

    is_digit = ops.cast(ops.max(y_true, axis=1) > 1.5 / CLASSES, "float32")
    right = ops.cast(ops.equal(ops.argmax(y_true, axis=1), ops.argmax(y_pred, axis=1)), "float32")
    return right * is_digit / ops.maximum(ops.mean(is_digit), 1e-6)


def measure_network(config: TrainConfig) -> tuple[int, int]:
    """Count a network's parameters, and the multiplications of reading one image, without building it.

    Raises InvalidConfig when the blocks shrink the image to nothing.
    """
    layers = list_layers(config)
    return sum(layer.parameters for layer in layers), sum(layer.multiplications for layer in layers)


def list_layers(config: TrainConfig) -> list[Layer]:
    """The layers of a network in their order, without building it; what only trains, like dropout, is left out.

    Raises InvalidConfig when the blocks shrink the image to nothing.
    """
    layers, side, channels = [], SIDE, 1
    if config.architecture == "cnn":
        for block, filters in enumerate(config.filters):
            kernel = _kernel_size(config, block)
            for _ in range(config.convolutions):
                side -= kernel - 1 if config.padding == "valid" else 0
                weights, area = kernel * kernel * channels * filters, (max(side, 0),) * 2
                layers += _count(f"Convolution {kernel} × {kernel}", (*area, filters), weights, side * side, config)
                channels = filters
            side //= 2
            if side < 1:
                raise InvalidConfig(
                    f"Block {block + 1} shrinks the image of 28 x 28 to nothing. Choose fewer blocks, smaller kernels "
                    "or the padding 'same'."
                )
            layers.append(Layer("Pooling 2 × 2", (side, side, channels), 0, 0))
    pooled = config.architecture == "cnn" and config.global_pooling
    inputs = channels if pooled else channels * side * side
    layers.append(Layer("Global pooling" if pooled else "Flatten", (inputs,), 0, 0))
    for units in config.hidden_units if config.architecture == "ann" else config.dense_units:
        layers += _count("Dense", (units,), inputs * units, 1, config)
        inputs = units
    return [*layers, Layer("Dense, softmax", (CLASSES,), inputs * CLASSES + CLASSES, inputs * CLASSES)]


def _count(name: str, shape: tuple[int, ...], weights: int, places: int, config: TrainConfig) -> list[Layer]:
    """A layer whose weights are used at so many places, and the normalisation after it, if any."""
    units = shape[-1]
    if not config.batch_norm:
        return [Layer(f"{name}, ReLU", shape, weights + units, weights * places)]
    return [
        Layer(name, shape, weights, weights * places),
        Layer("Batch normalisation, ReLU", shape, 4 * units, 0),
    ]


def choose_precision() -> str:
    """The Keras dtype policy that trains fastest here: bfloat16 where the processor multiplies it, else float32."""
    try:
        features = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        features = set()
    return "mixed_bfloat16" if features & HALF_PRECISION else "float32"


def build_network(config: TrainConfig, precision: str = "float32") -> Any:
    """Build the untrained network: `(N, 28, 28, 1) float32` in 0-1 -> `(N, 10) float32` probabilities.

    The layer before the last is called `features`. Initial weights and dropout follow the config's seed; precision is
    a Keras dtype policy: weights and answers are float32 under each. Raises TrainingUnavailable without TensorFlow.
    """
    keras = import_keras()
    keras.utils.set_random_seed(config.seed)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        image = keras.Input((SIDE, SIDE, 1), name="image")
        layers = _dense_layers(config) if config.architecture == "ann" else _convolution_layers(config)
        features = image
        for layer in [*layers, keras.layers.Identity(name="features")]:
            features = layer(features)
        last = keras.layers.Dense(CLASSES, activation="softmax", dtype="float32", name="probabilities")
        return keras.Model(image, last(features), name=config.architecture)
    finally:
        keras.config.set_dtype_policy(before)


def tell_features(network: Any) -> Any:
    """What a Keras network makes of an image before it answers: a tensor `(N, F)`, with F of at most FEATURES.

    More numbers than these are averaged, so many neighbours at a time.
    """
    from keras import layers

    flat = layers.Flatten(name="features_flat")(network.get_layer("features").output)
    count = flat.shape[1]
    if count <= FEATURES:
        return flat
    together = -(-count // FEATURES)
    rows = layers.Reshape((count, 1), name="features_rows")(flat)
    padded = layers.ZeroPadding1D((0, -count % together), name="features_padded")(rows)
    means = layers.AveragePooling1D(together, name="features_means")(padded)
    return layers.Flatten(name="features_told")(means)


def make_reader(network: Any, views: Sequence[tuple[float, float]] = VIEWS) -> Any:
    """What serves, made of a Keras network: a Keras model `(N, 28, 28, 1) float32` in 0-1 -> features `(N, F)`, with F
    of at most FEATURES, and probabilities `(N, 10)`.

    Both are means over several views of the image, turned and moved a little (test-time augmentation, Krizhevsky et al.
    2012), which the network looks at in one batch. Raises TrainingUnavailable without TensorFlow.
    """
    keras = import_keras()
    image = keras.Input((SIDE, SIDE, 1), name="image")
    seen = keras.ops.concatenate([_see(image, *view) for view in views], axis=0)
    said = keras.Model(network.inputs, [tell_features(network), network.output])(seen)
    return keras.Model(image, [_average(each, len(views)) for each in said])


def _see(image: Any, degrees: float, shift: float) -> Any:
    """A tensor of images `(N, 28, 28, 1)`, each turned about its centre and moved; what comes in from outside is 0."""
    from keras import ops

    if (degrees, shift) == STRAIGHT:
        return image
    centre = CENTRE - 0.5  # counted from the first pixel's middle
    places = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2)  # x and y
    (came_from,) = turn([places - centre - shift], -np.radians(degrees))
    came_from += centre
    corner = np.floor(came_from).astype(int)
    share = came_from - corner
    right_down = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])[:, None]
    at = corner + right_down  # (4, 784, 2), the neighbours between which a pixel lies
    weights = np.abs(1 - right_down - share).prod(axis=-1) * ((at >= 0) & (at < SIDE)).all(axis=-1)
    x, y = at.clip(0, SIDE - 1).transpose(2, 0, 1)
    neighbours = ops.take(ops.reshape(image, (-1, SIDE * SIDE)), (y * SIDE + x).astype(np.int32), axis=1)
    return ops.reshape(ops.sum(neighbours * weights.astype(np.float32), axis=1), (-1, SIDE, SIDE, 1))


def _average(told: Any, views: int) -> Any:
    """The mean `(N, F)` of what is told of all views, `(views * N, F)`."""
    from keras import ops

    return ops.mean(ops.reshape(told, (views, -1, told.shape[-1])), axis=0)


def _dense_layers(config: TrainConfig) -> list[Any]:
    from keras import layers

    stack: list[Any] = [layers.Flatten()]
    for units in config.hidden_units:
        stack += _activated(layers.Dense(units, use_bias=not config.batch_norm), config)
        stack.append(layers.Dropout(config.dropout))
    return stack


def _convolution_layers(config: TrainConfig) -> list[Any]:
    from keras import layers

    stack: list[Any] = []
    for block, filters in enumerate(config.filters):
        kernel = _kernel_size(config, block)
        for _ in range(config.convolutions):
            convolution = layers.Conv2D(filters, kernel, padding=config.padding, use_bias=not config.batch_norm)
            stack += _activated(convolution, config)
        stack.append(layers.MaxPooling2D())
    stack.append(layers.GlobalAveragePooling2D() if config.global_pooling else layers.Flatten())
    for units in config.dense_units:
        stack += _activated(layers.Dense(units, use_bias=not config.batch_norm), config)
    stack.append(layers.Dropout(config.dropout))
    return stack


def _kernel_size(config: TrainConfig, block: int) -> int:
    return config.kernel_sizes[block if len(config.kernel_sizes) > 1 else 0]


def _activated(layer: Any, config: TrainConfig) -> list[Any]:
    from keras import layers

    return [layer, *([layers.BatchNormalization()] if config.batch_norm else []), layers.ReLU()]
