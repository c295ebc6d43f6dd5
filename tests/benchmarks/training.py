"""How long a training takes to read so well, beside plain Keras: `python -m tests.benchmarks.training`.

Words after it choose among the rows: `python -m tests.benchmarks.training CNN balanced`. Needs DIGIT_LAB_MNIST.
Prints a Markdown table. CPU-seconds count all threads of the training, its augmentation and its validation included,
TensorFlow's import and the evaluation on the test images left out; each figure is the median of three seeds. Takes
about a quarter of an hour on two idle cores.
"""

import dataclasses
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from digit_core.architectures import import_keras
from digit_core.datasets import load_mnist, load_synthetic
from digit_core.presets import CONFIGS
from digit_core.settings import read_settings
from digit_core.training import to_input, train
from digit_core.types import Dataset, TrainConfig

SEEDS = (0, 1, 2)
MOST_EPOCHS = 15  # of plain Keras


class Watch:
    """Seconds and CPU-seconds of what runs between `start` and `stop`."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def __enter__(self) -> "Watch":
        self._seconds, self._cpu = time.monotonic(), _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic() - self._seconds
        self.cpu += _cpu_seconds() - self._cpu


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def accuracy(network: Any, dataset: Dataset) -> float:
    answers = network.predict(to_input(dataset.x_test), batch_size=500, verbose=0).argmax(axis=1)
    return float(np.mean(answers == dataset.y_test))


def train_ours(config: TrainConfig, dataset: Dataset, tested_on: Dataset) -> tuple[float, float, float]:
    with Watch() as watch:
        network = train(config, dataset, lambda event: None, lambda: False)
    return accuracy(network, tested_on), watch.seconds, watch.cpu


def train_plainly(
    build: Callable[[Any], Any], batch_size: int, target: float, seed: int, dataset: Dataset
) -> tuple[float, float, float]:
    """Train as Keras proposes, until the test images are read as well as they should be."""
    keras = import_keras()
    keras.utils.set_random_seed(seed)
    network = build(keras)
    network.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    x_train, watch, right = to_input(dataset.x_train), Watch(), 0.0
    for _ in range(MOST_EPOCHS):
        with watch:
            network.fit(x_train, dataset.y_train, batch_size=batch_size, verbose=0)
        right = accuracy(network, dataset)
        if right >= target:
            break
    return right, watch.seconds, watch.cpu


def plain_convnet(keras: Any) -> Any:
    """https://keras.io/examples/vision/mnist_convnet/, whose batches have 128 images."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def plain_dense(keras: Any) -> Any:
    """The dense network of the quick look, trained with Keras's defaults."""
    units = CONFIGS["ann", "quick-look"].hidden_units
    hidden = [keras.layers.Dense(each, activation="relu") for each in units]
    last = keras.layers.Dense(10, activation="softmax")
    return keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), *hidden, last])


def measure(name: str, once: Callable[[int], tuple[float, float, float]], seeds: tuple[int, ...] = SEEDS) -> float:
    """Print a row and return the median of CPU-seconds; not a number where the row was not chosen."""
    if not all(word in name for word in sys.argv[1:]):
        return math.nan
    rights, seconds, cpu = zip(*(once(seed) for seed in seeds), strict=True)
    figures = " / ".join(f"{100 * right:.2f}" for right in rights)
    print(f"| {name} | {figures} | {statistics.median(seconds):.1f} | {statistics.median(cpu):.1f} |", flush=True)
    return statistics.median(cpu)


def main() -> None:
    mnist = load_mnist(read_settings())
    import_keras().config.disable_interactive_logging()
    train_ours(dataclasses.replace(CONFIGS["ann", "quick-look"], epochs=1), mnist, mnist)  # all of TensorFlow is loaded
    print("| training | right on MNIST test, %, by seed | seconds | CPU-seconds |\n|---|---|---:|---:|")

    def ours(config: TrainConfig, dataset: Dataset = mnist) -> Callable[[int], tuple[float, float, float]]:
        return lambda seed: train_ours(dataclasses.replace(config, seed=seed), dataset, mnist)

    quick_cnn = measure("CNN, quick look", ours(CONFIGS["cnn", "quick-look"]))
    plain_cnn = measure(
        "Keras's convnet example, until 99.0 %", lambda seed: train_plainly(plain_convnet, 128, 0.99, seed, mnist)
    )
    quick_ann = measure("ANN, quick look", ours(CONFIGS["ann", "quick-look"]))
    plain_ann = measure(
        "the same dense network in plain Keras, until 98 %",
        lambda seed: train_plainly(plain_dense, 32, 0.98, seed, mnist),
    )
    measure("CNN, balanced", ours(CONFIGS["cnn", "balanced"]))
    measure("ANN, balanced", ours(CONFIGS["ann", "balanced"]))
    drawn = load_synthetic(read_settings())
    measure("CNN, balanced, on synthetic digits alone", ours(CONFIGS["cnn", "balanced"], drawn), SEEDS[:1])
    if len(sys.argv) == 1:
        print(f"\nPlain Keras takes {plain_cnn / quick_cnn:.1f} and {plain_ann / quick_ann:.1f} times the CPU-seconds.")


if __name__ == "__main__":
    sys.exit(main())
