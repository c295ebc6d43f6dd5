"""Train a network: a loop over epochs around Keras's `fit`, told as TrainEvents.

It knows no file, page or database: what happens goes to `on_event`, and `should_stop` is asked after every batch.
"""

import math
import time
from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from digit_core.architectures import build_network, import_keras
from digit_core.augmentation import augment
from digit_core.errors import InvalidConfig
from digit_core.types import Architecture, Dataset, Optimizer, Schedule, TrainConfig, TrainEvent

EVENT_INTERVAL = 0.1  # seconds between two batch events, at least
WARM_UP = 0.25  # the share of a one-cycle schedule in which the learning rate rises


def check_config(config: TrainConfig) -> None:
    """Raise InvalidConfig, with a sentence, for the first setting outside its range."""
    for name, value, low, high in (
        ("number of epochs", config.epochs, 1, 1000),
        ("batch size", config.batch_size, 1, 4096),
        ("learning rate", config.learning_rate, 1e-6, 1.0),
        ("number of hidden layers", len(config.hidden_units), 1, 8),
        ("number of blocks", len(config.filters), 1, 4),
        ("number of dense units", config.dense_units, 0, 4096),
        ("dropout", config.dropout, 0.0, 0.9),
        ("validation fraction", config.validation_fraction, 0.01, 0.5),
        ("early stopping", config.early_stopping, 0, 1000),
        ("time budget in seconds", config.time_budget_s, 0.0, 86400.0),
        ("seed", config.seed, 0, 2**31 - 1),
        *(("number of hidden units", units, 1, 4096) for units in config.hidden_units),
        *(("number of filters", filters, 1, 512) for filters in config.filters),
    ):
        if not low <= value <= high:
            raise InvalidConfig(f"The {name} is {value:g}. Choose a value from {low:g} to {high:g}.")
    for name, choice, choices in (
        ("architecture", config.architecture, get_args(Architecture)),
        ("schedule", config.schedule, get_args(Schedule)),
        ("optimizer", config.optimizer, get_args(Optimizer)),
    ):
        if choice not in choices:
            raise InvalidConfig(f"The {name} is {choice!r}. Choose one of {', '.join(choices)}.")


def train(
    config: TrainConfig,
    dataset: Dataset,
    on_event: Callable[[TrainEvent], None],
    should_stop: Callable[[], bool],
) -> Any:
    """Train a new network on the dataset's training images and return it, a Keras model.

    Emits `batch` events, at most ten a second, and an `epoch` event for each epoch, with the mean loss and accuracy so
    far. Ends early, with the network as it is, when `should_stop` says so, the time budget is
    used up, or early stopping applies. Raises InvalidConfig and TrainingUnavailable.
    """
    check_config(config)
    keras = import_keras()
    x_train, y_train, x_validation, y_validation = split_validation(dataset, config.validation_fraction)
    network = build_network(config)
    network.compile(_optimizer(keras, config), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    batches = math.ceil(len(x_train) / config.batch_size)
    progress = _progress_callback(keras, config, batches, on_event, should_stop)
    best, waited = math.inf, 0
    for epoch in range(config.epochs):
        rng = np.random.default_rng([config.seed, epoch])
        order = rng.permutation(len(x_train))
        images = augment(x_train[order], rng) if config.augment else x_train[order]
        history = network.fit(
            to_input(images),
            y_train[order],
            batch_size=config.batch_size,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            validation_data=(to_input(x_validation), y_validation),
            validation_batch_size=500,
            callbacks=[progress],
            verbose=0,
        ).history
        if progress.stopped:
            break
        metrics = {name: float(values[-1]) for name, values in history.items()}
        on_event(TrainEvent("epoch", time.time(), epoch + 1, batches, batches, metrics, progress.eta_s()))
        best, waited = (metrics["val_loss"], 0) if metrics["val_loss"] < best else (best, waited + 1)
        if progress.out_of_time() or (config.early_stopping and waited >= config.early_stopping):
            break
    return network


def to_input(images: np.ndarray) -> np.ndarray:
    """Turn images `(N, 28, 28) uint8` into what a network reads: `(N, 28, 28, 1) float32` in 0-1."""
    return images[..., None].astype(np.float32) / 255


def split_validation(dataset: Dataset, fraction: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split the training images into `x_train, y_train, x_validation, y_validation`; the last ones validate."""
    held_out = round(len(dataset.x_train) * fraction)
    if not 0 < held_out < len(dataset.x_train):
        raise InvalidConfig(f"{len(dataset.x_train)} training images cannot be split. Use more images.")
    cut = len(dataset.x_train) - held_out
    return dataset.x_train[:cut], dataset.y_train[:cut], dataset.x_train[cut:], dataset.y_train[cut:]


def learning_rate(config: TrainConfig, progress: float) -> float:
    """Learning rate at a progress of 0-1 through all batches; one-cycle after Smith and Topin 2018."""
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "one-cycle":
        if progress < WARM_UP:
            return config.learning_rate * (0.04 + 0.96 * progress / WARM_UP)
        progress = (progress - WARM_UP) / (1 - WARM_UP)
    return config.learning_rate * (0.001 + 0.999 * (1 + math.cos(math.pi * progress)) / 2)


def _optimizer(keras: Any, config: TrainConfig) -> Any:
    rate = config.learning_rate
    return {
        "adam": lambda: keras.optimizers.Adam(rate),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=0.01),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }[config.optimizer]()


def _progress_callback(
    keras: Any,
    config: TrainConfig,
    batches: int,
    on_event: Callable[[TrainEvent], None],
    should_stop: Callable[[], bool],
) -> Any:
    class Progress(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stopped = False
            self.epoch = self.done = 0
            self.start = time.monotonic()
            self.last_event = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch + 1

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if config.schedule != "constant":
                rate = learning_rate(config, self.done / (batches * config.epochs))
                self.model.optimizer.learning_rate.assign(rate)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.done += 1
            now = time.monotonic()
            if should_stop():
                self.stopped = self.model.stop_training = True
            elif self.out_of_time():
                self.model.stop_training = True
            elif now - self.last_event >= EVENT_INTERVAL:
                self.last_event = now
                metrics = {name: float(logs[name]) for name in ("loss", "accuracy")}
                event = TrainEvent("batch", time.time(), self.epoch, batch + 1, batches, metrics, self.eta_s())
                on_event(event)

        def eta_s(self) -> float:
            left = (time.monotonic() - self.start) / self.done * (batches * config.epochs - self.done)
            return min(left, self.time_left()) if config.time_budget_s else left

        def time_left(self) -> float:
            return max(0.0, config.time_budget_s - (time.monotonic() - self.start))

        def out_of_time(self) -> bool:
            return config.time_budget_s > 0 and self.time_left() == 0

    return Progress()
