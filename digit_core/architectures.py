"""The two networks: a dense one (ANN) and a convolutional one (CNN), built with Keras's functional API.

Keras, and TensorFlow below it, are imported only when a network is built: the server never does.
"""

import importlib.util
import os
from types import ModuleType
from typing import Any

from digit_core.errors import TrainingUnavailable
from digit_core.types import TrainConfig


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


def build_network(config: TrainConfig) -> Any:
    """Build the untrained network: `(N, 28, 28, 1) float32` in 0-1 -> `(N, 10) float32` probabilities.

    The layer before the last is called `features`. Initial weights and dropout follow the config's seed. Raises
    TrainingUnavailable without TensorFlow.
    """
    keras = import_keras()
    keras.utils.set_random_seed(config.seed)
    image = keras.Input((28, 28, 1), name="image")
    layers = _dense_layers(config) if config.architecture == "ann" else _convolution_layers(config)
    features = image
    for layer in [*layers, keras.layers.Identity(name="features")]:
        features = layer(features)
    probabilities = keras.layers.Dense(10, activation="softmax", name="probabilities")(features)
    return keras.Model(image, probabilities, name=config.architecture)


def _dense_layers(config: TrainConfig) -> list[Any]:
    from keras import layers

    stack: list[Any] = [layers.Flatten()]
    for units in config.hidden_units:
        stack += _activated(layers.Dense(units, use_bias=not config.batch_norm), config)
        stack.append(layers.Dropout(config.dropout))
    return stack


def _convolution_layers(config: TrainConfig) -> list[Any]:
    """Blocks of two 3 x 3 convolutions and a pooling that halves the image, then a dense layer if there is one."""
    from keras import layers

    stack: list[Any] = []
    for filters in config.filters:
        for _ in range(2):
            stack += _activated(layers.Conv2D(filters, 3, padding="same", use_bias=not config.batch_norm), config)
        stack.append(layers.MaxPooling2D())
    stack.append(layers.Flatten())
    if config.dense_units:
        stack += _activated(layers.Dense(config.dense_units, use_bias=not config.batch_norm), config)
    stack.append(layers.Dropout(config.dropout))
    return stack


def _activated(layer: Any, config: TrainConfig) -> list[Any]:
    from keras import layers

    return [layer, *([layers.BatchNormalization()] if config.batch_norm else []), layers.ReLU()]
