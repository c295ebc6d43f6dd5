"""Settings that are known to work, from a first look to the best, and what a training will take.

The figures come from `python -m tests.benchmarks.training`, on two cores.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Literal, NamedTuple, get_args

from digit_core.architectures import VIEWS, choose_precision, measure_network
from digit_core.bank import BANK_FILE
from digit_core.datasets import CHOOSING_DRAWINGS, SYNTHETIC_FILE, count_images
from digit_core.settings import Settings
from digit_core.types import Architecture, Run, TrainConfig

Preset = Literal["quick-look", "balanced", "best"]
CHOOSING_IMAGES = 5_000  # of MNIST's training images, the last
VALIDATION = (CHOOSING_IMAGES + CHOOSING_DRAWINGS) / count_images("mnist+drawings")
PRESETS: tuple[Preset, ...] = get_args(Preset)
CONFIGS: dict[tuple[Architecture, Preset], TrainConfig] = {
    ("ann", "quick-look"): TrainConfig(
        "ann", epochs=2, batch_size=256, learning_rate=4e-3, hidden_units=(512, 256), batch_norm=False, dropout=0.0
    ),
    ("ann", "balanced"): TrainConfig("ann", epochs=10, batch_size=256, learning_rate=4e-3, dropout=0.1),
    ("ann", "best"): TrainConfig("ann", "mnist+synthetic", epochs=30, learning_rate=4e-3),
    ("cnn", "quick-look"): TrainConfig(
        epochs=1,
        batch_size=256,
        learning_rate=1e-2,
        filters=(24, 32),
        kernel_sizes=(5, 3),
        convolutions=1,
        padding="valid",
        batch_norm=False,
        dense_units=(256,),
        dropout=0.0,
    ),
    ("cnn", "balanced"): TrainConfig(
        epochs=6, batch_size=256, learning_rate=5e-3, filters=(16, 32, 64), batch_norm=False, dropout=0.3
    ),
    ("cnn", "best"): TrainConfig(dataset="mnist+synthetic", epochs=16, learning_rate=4e-3, filters=(24, 48, 96)),
}
Recipe = Literal["best-cnn", "best-ann"]
RECIPES: dict[Recipe, TrainConfig] = {  # of the starter models
    "best-cnn": TrainConfig(
        "cnn",
        "mnist+drawings",
        epochs=32,
        batch_size=256,
        learning_rate=4e-3,
        filters=(24, 48, 96),
        elastic=0.5,
        dropout=0.3,
        validation_fraction=VALIDATION,
    ),
    "best-ann": TrainConfig(
        "ann",
        "mnist+drawings",
        epochs=60,
        batch_size=256,
        learning_rate=3e-3,
        hidden_units=(1024, 512, 256),
        elastic=0.7,
        label_smoothing=0.02,
        dropout=0.1,
        teacher_id="cnn",
        validation_fraction=VALIDATION,
    ),
}
SECONDS_PER_IMAGE, SECONDS_PER_MULTIPLICATION = 3e-5, 3.2e-11
NORMALISED, FULL_PRECISION = 1.6, 1.5  # times as long with batch normalisation, and in float32
START_SECONDS = 3.0  # until the first batch is done
LOAD_SECONDS = 5.0  # TensorFlow's
SECONDS_TO_MAKE = {"synthetic": 12.0, "pen-digits": 2.0, "drawings": 150.0}  # the images of a data set
MEASURE_SECONDS, COMPARE_SECONDS = 8.0, 20.0  # what was trained, and a lesson beside what it began as
SECONDS_PER_JUDGED = 3e-4  # image from which it learns what is no digit, beside reading it
JUDGED, JUDGED_WITH_DRAWINGS = 23_000, 73_000  # images, as many as digit_score takes of the bank and of others
SECONDS_TO_DRAW_BANK = 25.0
LESSONS = 27_000  # images that a fine-tuning learns from, about
RUNS_MEASURED = 5


def estimate_seconds(config: TrainConfig, pace: float = 1.0) -> float:
    """About how many seconds of training a config takes on a machine of that pace; two cores have 1. A teacher, who
    reads all images too, is not counted.

    Raises InvalidConfig, DataUnavailable.
    """
    _, multiplications = measure_network(config)
    slower = NORMALISED if config.batch_norm else 1.0
    slower *= FULL_PRECISION if choose_precision() == "float32" else 1.0
    count = LESSONS if config.base_model_id else count_images(config.dataset)
    images = config.epochs * count * (1 - config.validation_fraction)
    seconds = START_SECONDS + images * (SECONDS_PER_IMAGE + multiplications * SECONDS_PER_MULTIPLICATION * slower)
    return min(pace * seconds, config.time_budget_s or math.inf)


class Forecast(NamedTuple):
    """About how many seconds each stage of a run takes, in their order."""

    images: float  # are fetched, and drawn where they are not kept
    loading: float  # of TensorFlow
    training: float
    bank: float  # of digits and no digits is drawn, unless it is kept
    judging: float  # learns what is no digit
    measuring: float


def forecast(config: TrainConfig, settings: Settings, pace: float = 1.0) -> Forecast:
    """Foresee a run on a machine of that pace; raises as `estimate_seconds`."""
    _, multiplications = measure_network(config)
    parts = set(config.dataset.split("+"))
    judged = JUDGED_WITH_DRAWINGS if "drawings" in parts else JUDGED
    if (settings.data / SYNTHETIC_FILE).is_file():
        parts.discard("synthetic")
    return Forecast(
        images=pace * sum(SECONDS_TO_MAKE.get(part, 0.0) for part in parts),
        loading=pace * LOAD_SECONDS,
        training=estimate_seconds(config, pace),
        bank=0.0 if (settings.data / BANK_FILE).is_file() else pace * SECONDS_TO_DRAW_BANK,
        judging=pace * judged * (SECONDS_PER_JUDGED + len(VIEWS) * multiplications * SECONDS_PER_MULTIPLICATION),
        measuring=pace * (COMPARE_SECONDS if config.base_model_id else MEASURE_SECONDS),
    )


def measure_pace(runs: Sequence[Run]) -> float:
    """How many times as long as estimated training takes on this machine, by the latest of some runs to their end."""
    whole = [run for run in runs if run.status == "finished" and run.elapsed_s and not _may_end_early(run.config)]
    paces = [run.elapsed_s / estimate_seconds(run.config) for run in whole[:RUNS_MEASURED]]
    return median(paces) if paces else 1.0


def _may_end_early(config: TrainConfig) -> bool:
    return config.early_stopping > 0 or config.time_budget_s > 0


def find_preset(config: TrainConfig) -> Preset | None:
    """The preset that a config follows, whatever its data set and seed; None if it follows none."""
    for (_, preset), proposed in CONFIGS.items():
        if replace(proposed, dataset=config.dataset, seed=config.seed) == config:
            return preset
    return None
