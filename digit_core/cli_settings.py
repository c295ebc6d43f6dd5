"""The settings of a training as options of the command line."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import click
from click.core import ParameterSource

from digit_core.presets import CONFIGS, PRESETS, RECIPES, Preset, Recipe
from digit_core.types import TrainConfig

PRESET_HELP = "Settings that are known to work; what is given beside it overrides."
SETTINGS_HELP = {
    "architecture": "ann: dense, cnn: convolutional.",
    "dataset": "mnist or synthetic (drawn by the program); +synthetic, +pen-digits, +feedback, +drawings add to it.",
    "epochs": "Times through the training images.",
    "batch_size": "Images per step.",
    "learning_rate": "The peak of the schedule.",
    "schedule": "How the learning rate moves.",
    "optimizer": "What follows the gradient.",
    "hidden_units": "ANN: units of each hidden layer, like 512,512.",
    "filters": "CNN: filters of each block, like 16,32,64.",
    "kernel_sizes": "CNN: side of the kernels, one for all blocks or one each, like 5,3.",
    "convolutions": "CNN: convolutions in a block.",
    "padding": "CNN: same keeps the image's size, valid loses its border.",
    "global_pooling": "CNN: average each filter over the image.",
    "batch_norm": "Normalise each layer over the batch.",
    "dense_units": "CNN: units of each layer before the output, like 128,64.",
    "dropout": "Share of units left out while training.",
    "augment": "Turn, stretch, slant, shift, thicken and thin the images.",
    "elastic": "Pixels that ink is moved by when images are bent, 0 for off.",
    "label_smoothing": "Share of certainty taken from each label and given to all digits.",
    "teacher_id": "A model whose answers are half of what is learned.",
    "validation_fraction": "Share of the training images held out.",
    "early_stopping": "Epochs without a better validation loss, 0 for off.",
    "time_budget_s": "Seconds of training, 0 for no limit.",
    "seed": "Decides weights, order and augmentation.",
}


class Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them -> tuple."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(",") if part)
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers like 16,32,64.", param, ctx)


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each training setting, and those that choose many at once."""
    recipe = click.option("--recipe", type=click.Choice(RECIPES), help="Settings that make a starter model again.")
    preset = click.option("--preset", type=click.Choice(PRESETS), help=PRESET_HELP)
    command = preset(recipe(command))
    for field in reversed(dataclasses.fields(TrainConfig)):
        if field.name in SETTINGS_HELP:
            flag = "--" + field.name.replace("_", "-")
            choices = [choice for choice in get_args(field.type) if isinstance(choice, str)]
            kind: Any = click.Choice(choices) if choices else Numbers() if isinstance(field.default, tuple) else None
            names = f"{flag}/--no-{flag[2:]}" if isinstance(field.default, bool) else flag
            shown = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else True
            option = click.option(
                names, type=kind, default=field.default, show_default=shown, help=SETTINGS_HELP[field.name]
            )
            command = option(command)
    return command


def choose_config(
    ctx: click.Context, values: dict[str, Any], preset: Preset | None, recipe: Recipe | None
) -> TrainConfig:
    """The settings that a command was given: a preset's or a recipe's, and what was typed beside it."""
    given = given_settings(ctx, values)
    if preset and recipe:
        raise click.UsageError("--preset and --recipe both choose the settings. Leave one out.")
    config = TrainConfig(**values)
    if preset:
        config = dataclasses.replace(CONFIGS[config.architecture, preset], **given)
    if recipe:
        config = dataclasses.replace(RECIPES[recipe], **given)
        if config.architecture != RECIPES[recipe].architecture:
            raise click.UsageError(f"{recipe} is no recipe of an {config.architecture.upper()}. Leave one out.")
    return config


def given_settings(ctx: click.Context, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the settings that were typed."""
    return {n: value for n, value in values.items() if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE}
