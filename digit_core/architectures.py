"""The two networks: a dense one (ANN) and a convolutional one (CNN), built with Keras's functional API.

Keras, and TensorFlow below it, are imported only when a network is built: the server never does.
"""

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from digit_core.errors import InvalidConfig, TrainingUnavailable
from digit_core.types import TrainConfig

SIDE, CLASSES = 28, 10
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
    side, channels, parameters, multiplications = SIDE, 1, 0, 0
    extra = 4 if config.batch_norm else 1  # parameters of a unit beside its weights: normalisation, or a bias
    if config.architecture == "cnn":
        for block, filters in enumerate(config.filters):
            kernel = _kernel_size(config, block)
            for _ in range(config.convolutions):
                side -= kernel - 1 if config.padding == "valid" else 0
                weights = kernel * kernel * channels * filters
                parameters += weights + extra * filters
                multiplications += weights * side * side
                channels = filters
            side //= 2
            if side < 1:
                raise InvalidConfig(
                    f"Block {block + 1} shrinks the image of 28 x 28 to nothing. Choose fewer blocks, smaller kernels "
                    "or the padding 'same'."
                )
    inputs = channels if config.architecture == "cnn" and config.global_pooling else channels * side * side
    for units in config.hidden_units if config.architecture == "ann" else config.dense_units:
        parameters += inputs * units + extra * units
        multiplications += inputs * units
        inputs = units
    return parameters + inputs * CLASSES + CLASSES, multiplications + inputs * CLASSES


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
