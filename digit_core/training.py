"""Train a network: a loop over epochs around Keras's `fit`, told as TrainEvents.

It knows no file, page or database: what happens goes to `on_event`, and `should_stop` is asked after every batch. Each
epoch draws its order, augmentation and dropout from seed and epoch alone, so a training that goes on from the network
of an epoch's end, optimizer included, does what an unbroken one would have done.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np

from digit_core.architectures import (
    CLASSES,
    accuracy,
    build_network,
    choose_precision,
    import_keras,
    measure_network,
)
from digit_core.augmentation import augment
from digit_core.errors import DataUnavailable, InvalidConfig
from digit_core.types import (
    Architecture,
    Checkpoint,
    Dataset,
    EventKind,
    Optimizer,
    Padding,
    Schedule,
    TrainConfig,
    TrainEvent,
)

EVENT_INTERVAL = 0.1, 1.0  # seconds between two batch events: at first, and in a training of many minutes
ANSWER_INTERVAL = 1.0  # seconds between two looks at the sample
SAMPLE = 24  # validation images whose answers are told
MAX_PARAMETERS = 20_000_000
WARM_UP = 0.25  # the share of a one-cycle schedule in which the learning rate rises
BETA_2 = 0.95  # of Adam: trainings are short, and 0.999 would look back 1,000 batches
BATCHES_PER_CALL = {"ann": 8, "cnn": 1}  # pays where a batch takes less than the call around it
VALIDATION_BATCH = 500  # images
METRICS = ("loss", "accuracy")
LEARNED = 0.7  # of what fine-tuning changes in each weight: forgets less than all of it, and reads as well


def check_config(config: TrainConfig) -> None:
    """Raise InvalidConfig, with a sentence, for the first setting outside its range."""
    ranges: list[tuple[str, float, float, float]] = [
        ("number of epochs", config.epochs, 1, 1000),
        ("batch size", config.batch_size, 1, 4096),
        ("learning rate", config.learning_rate, 1e-6, 1.0),
        ("dropout", config.dropout, 0.0, 0.9),
        ("elastic bending in pixels", config.elastic, 0.0, 5.0),
        ("label smoothing", config.label_smoothing, 0.0, 0.5),
        ("validation share", config.validation_fraction, 0.01, 0.5),
        ("early stopping", config.early_stopping, 0, 1000),
        ("time budget in seconds", config.time_budget_s, 0.0, 86400.0),
        ("seed", config.seed, 0, 2**31 - 1),
    ]
    if config.architecture == "ann":
        ranges += [
            ("number of hidden layers", len(config.hidden_units), 1, 8),
            *(("number of hidden units", units, 1, 4096) for units in config.hidden_units),
        ]
    else:
        ranges += [
            ("number of blocks", len(config.filters), 1, 4),
            ("number of convolutions in a block", config.convolutions, 1, 4),
            ("number of dense layers", len(config.dense_units), 0, 4),
            *(("number of filters", filters, 1, 512) for filters in config.filters),
            *(("kernel size", size, 1, 9) for size in config.kernel_sizes),
            *(("number of dense units", units, 1, 4096) for units in config.dense_units),
        ]
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise InvalidConfig(f"The {name} is {value!r:.40}. Choose a value from {low:g} to {high:g}.")
    for name, choice, choices in (
        ("architecture", config.architecture, get_args(Architecture)),
        ("schedule", config.schedule, get_args(Schedule)),
        ("optimizer", config.optimizer, get_args(Optimizer)),
        ("padding", config.padding, get_args(Padding)),
    ):
        if choice not in choices:
            raise InvalidConfig(f"The {name} is {choice!r}. Choose one of {', '.join(choices)}.")
    if config.architecture == "cnn" and len(config.kernel_sizes) not in (1, len(config.filters)):
        raise InvalidConfig(
            f"The number of kernel sizes is {len(config.kernel_sizes)}, that of blocks {len(config.filters)}. Give one "
            "size for each block, or one for all."
        )
    parameters, _ = measure_network(config)
    if parameters > MAX_PARAMETERS:
        raise InvalidConfig(
            f"The network would have {parameters:,} parameters. Choose fewer units or filters, for at most "
            f"{MAX_PARAMETERS:,}."
        )


def train(
    config: TrainConfig,
    dataset: Dataset,
    on_event: Callable[[TrainEvent], None],
    should_stop: Callable[[], bool],
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[Checkpoint], None] = lambda checkpoint: None,
    teacher: Callable[[np.ndarray], np.ndarray] | None = None,
    base: Any = None,
) -> Any:
    """Train a network on the dataset's training images and return it, a Keras model in float32, not compiled.

    Emits `batch` events, ten a second at most, and an `epoch` event for each epoch, after which `on_epoch` is given a
    checkpoint; with it a later training goes on from there. `teacher` reads images `(N, 28, 28) uint8`: its
    probabilities `(N, 10)` are half of what is learned (distillation, Hinton et al. 2015). `base` is a Keras model of
    the same shape whose weights are begun with (fine-tuning), and stay a part of those that come out (WiSE-FT, Wortsman
    et al. 2022). Ends early, with the network as it is, when `should_stop` says so, the time budget is used up, or
    early stopping applies. Raises TrainingUnavailable, InvalidConfig, also when the loss grows beyond all numbers, and
    DataUnavailable when the checkpoint is of another data set.
    """
    check_config(config)
    keras = import_keras()
    x_train, y_train, x_validation, y_validation = split_validation(dataset, config.validation_fraction)
    batches = math.ceil(len(x_train) / config.batch_size)
    if checkpoint is None:
        network, optimizer, epochs = build_network(config, choose_precision()), _optimizer(keras, config), []
        if base is not None:
            network.set_weights(base.get_weights())
    elif checkpoint.sha256 == dataset.sha256:
        network, optimizer, epochs = checkpoint.network, checkpoint.network.optimizer, list(checkpoint.epochs)
    else:
        raise DataUnavailable(
            "The training images, or the teacher, are not those that this run began with. Start a new run with the "
            "same settings."
        )
    network.compile(
        optimizer,
        loss="categorical_crossentropy",
        metrics=[accuracy],
        steps_per_execution=BATCHES_PER_CALL[config.architecture],
    )
    elapsed = epochs[-1].elapsed_s if epochs else 0.0
    progress = _progress_callback(keras, config, batches, x_validation[:SAMPLE], elapsed, on_event, should_stop)
    validation = _to_batches(x_validation, to_targets(y_validation), VALIDATION_BATCH)
    while not _is_over(config, epochs):
        epoch = epochs[-1].epoch if epochs else 0
        rng = np.random.default_rng([config.seed, epoch])
        order = rng.permutation(len(x_train))
        images = augment(x_train[order], rng, config.elastic) if config.augment else x_train[order]
        targets = to_targets(y_train[order], config.label_smoothing)
        if teacher:
            digits = y_train[order] >= 0
            targets[digits] = (targets[digits] + teacher(images[digits])) / 2
        _seed_dropout(network, config.seed, epoch)
        history = network.fit(
            _to_batches(images, targets, config.batch_size),
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            validation_data=validation,
            callbacks=[progress],
            verbose=0,
        ).history
        if progress.stopped:
            break
        epochs.append(progress.to_event("epoch", {name: float(values[-1]) for name, values in history.items()}))
        on_epoch(Checkpoint(network, tuple(epochs), dataset.sha256))
        on_event(epochs[-1])  # an epoch that is told is kept
    trained = build_network(config)
    weights = network.get_weights()
    if base is not None:
        pairs = zip(base.get_weights(), weights, strict=True)
        weights = [(1 - LEARNED) * before + LEARNED * after for before, after in pairs]
    trained.set_weights(weights)
    return trained


def to_input(images: np.ndarray) -> np.ndarray:
    """Turn images `(N, 28, 28) uint8` into what a network reads: `(N, 28, 28, 1) float32` in 0-1."""
    return images[..., None].astype(np.float32) / 255


def _to_batches(images: np.ndarray, targets: np.ndarray, size: int) -> Any:
    """Serve images, as `to_input` turns them, and targets in their order, some at a time, as a `tf.data.Dataset`."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False  # its thread sleeps for up to a minute, and the end of an epoch waits for it
    batches = tf.data.Dataset.from_tensor_slices((images, targets)).batch(size)
    scaled = batches.map(lambda some, wanted: (tf.cast(some[..., None], tf.float32) / 255, wanted))
    return scaled.prefetch(2).with_options(options)


def to_targets(labels: np.ndarray, smoothing: float = 0.0) -> np.ndarray:
    """Turn labels `(N,)` 0-9, or -1 for what is no digit, into what a network should answer, `(N, 10) float32`.

    smoothing: the share of certainty that goes to all digits alike (Szegedy et al. 2016). What is no digit is as likely
    each of them (outlier exposure, Hendrycks et al. 2019).
    """
    digits = labels >= 0
    targets = np.full((len(labels), CLASSES), 1 / CLASSES, np.float32)
    targets[digits] *= smoothing
    targets[np.flatnonzero(digits), labels[digits]] += 1 - smoothing
    return targets


def split_validation(dataset: Dataset, fraction: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Split the training images into `x_train, y_train, x_validation, y_validation`; the last ones validate.

    Raises InvalidConfig when too few are left, or what is no digit would validate.
    """
    held_out = round(len(dataset.x_train) * fraction)
    if not 0 < held_out < len(dataset.x_train):
        raise InvalidConfig(f"{len(dataset.x_train)} training images cannot be split. Use more images.")
    cut = len(dataset.x_train) - held_out
    if (dataset.y_train[cut:] < 0).any():
        raise InvalidConfig("So large a validation share would hold what is no digit. Choose a smaller one.")
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
        "adam": lambda: keras.optimizers.Adam(rate, beta_2=BETA_2),
        "adamw": lambda: keras.optimizers.AdamW(rate, beta_2=BETA_2, weight_decay=0.01),
        "sgd": lambda: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    }[config.optimizer]()


def _is_over(config: TrainConfig, epochs: Sequence[TrainEvent]) -> bool:
    """Whether the epochs are done, the time budget is used up, or validation has not got better for long enough."""
    if not epochs:
        return False
    out_of_time = config.time_budget_s > 0 and epochs[-1].elapsed_s >= config.time_budget_s
    losses = [event.metrics["val_loss"] for event in epochs]
    waited = len(losses) - 1 - losses.index(min(losses))
    out_of_patience = 0 < config.early_stopping <= waited
    return epochs[-1].epoch >= config.epochs or out_of_time or out_of_patience


def _seed_dropout(network: Any, seed: int, epoch: int) -> None:
    """Set the state that dropout draws from, of which a saved network keeps nothing."""
    for number, layer in enumerate(network.layers):
        if generator := getattr(layer, "seed_generator", None):
            generator.state.assign([(seed + number) % 2**32, epoch << 20])


def _progress_callback(
    keras: Any,
    config: TrainConfig,
    batches: int,
    sample: np.ndarray,
    elapsed: float,
    on_event: Callable[[TrainEvent], None],
    should_stop: Callable[[], bool],
) -> Any:
    total = batches * config.epochs
    x_sample = to_input(sample)

    class Progress(keras.callbacks.Callback):  # type: ignore[misc]
        """Sets the learning rate of each batch, tells how it goes, and ends the training in mid-epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.stopped = False
            self.epoch = self.done = 0
            self.start = time.monotonic() - elapsed
            self.measured: tuple[int, float] | None = None  # batches done, and when, from which time left is told
            self.told_at = self.looked_at = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch, self.done = epoch + 1, epoch * batches
            self.told = dict.fromkeys(METRICS, 0.0)
            self.told_batches = 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if config.schedule != "constant":
                time_share = self.elapsed_s() / config.time_budget_s if config.time_budget_s else 0.0
                rate = learning_rate(config, min(1.0, max(self.done / total, time_share)))
                self.model.optimizer.learning_rate.assign(rate)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            batch = min(batch + 1, batches)  # Keras counts the last call's batches as if it were full
            self.done = (self.epoch - 1) * batches + batch
            now = time.monotonic()
            self.measured = self.measured or (self.done, now)
            least, most = EVENT_INTERVAL
            if should_stop():
                self.stopped = self.model.stop_training = True
            elif config.time_budget_s and self.elapsed_s() >= config.time_budget_s:
                self.model.stop_training = True
            elif now - self.told_at >= min(max(least, self.elapsed_s() / 1000), most):
                self.told_at = now
                on_event(self.to_event("batch", self.means_since_told(batch, logs)))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            if should_stop():
                self.stopped = True

        def means_since_told(self, batch: int, logs: Any) -> dict[str, float]:
            """Turn Keras's means over the epoch so far into means over the batches since the last event."""
            totals = {name: float(logs[name]) * batch for name in METRICS}
            count = batch - self.told_batches
            means = {name: (totals[name] - self.told[name]) / count for name in METRICS}
            self.told, self.told_batches = totals, batch
            return means

        def to_event(self, kind: EventKind, metrics: dict[str, float]) -> TrainEvent:
            if not all(map(math.isfinite, metrics.values())):
                raise InvalidConfig(
                    f"The loss grew beyond all numbers in epoch {self.epoch}: the learning rate of "
                    f"{config.learning_rate:g} is too high. Choose a smaller one."
                )
            return TrainEvent(
                kind,
                time.time(),
                self.epoch,
                self.done - (self.epoch - 1) * batches,
                batches,
                metrics,
                self.elapsed_s(),
                self.eta_s(),
                self.answers() if kind == "epoch" or time.monotonic() - self.looked_at >= ANSWER_INTERVAL else (),
            )

        def answers(self) -> tuple[int, ...]:
            self.looked_at = time.monotonic()
            return tuple(np.argmax(self.model(x_sample, training=False), axis=1).tolist())

        def elapsed_s(self) -> float:
            return time.monotonic() - self.start

        def eta_s(self) -> float | None:
            """Time left at the pace since the first batch, which took longer: Keras made its graph then."""
            done, since = self.measured or (0, 0.0)
            if self.done == done:
                return None
            left = (time.monotonic() - since) / (self.done - done) * (total - self.done)
            return min(left, max(0.0, config.time_budget_s - self.elapsed_s())) if config.time_budget_s else left

    return Progress()
