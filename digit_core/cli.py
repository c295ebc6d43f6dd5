"""The command line: `python -m digit_core COMMAND`. Exit codes: 0 done, 1 failed with a sentence, 2 wrong usage."""

import csv
import dataclasses
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from click.core import ParameterSource

from digit_core import runs
from digit_core.architectures import check_tensorflow
from digit_core.classifier import Classifier, load_classifier
from digit_core.cli_feedback import UTC_MOMENT, echo_json, feedback
from digit_core.datasets import check_dataset, download_mnist, find_mnist, load_mnist
from digit_core.drawings import read_drawings, read_picture_file
from digit_core.errors import DataUnavailable, DigitError, ModelUnavailable
from digit_core.evaluation import evaluate as compare
from digit_core.learning import find_losses, plan_fine_tuning
from digit_core.model_store import list_models, load_default, load_info, save_default, to_json, write_file
from digit_core.pen_digits import download_pen_digits, find_pen_digits
from digit_core.preprocessing import preprocess
from digit_core.presets import CONFIGS, PRESETS, RECIPES, Preset, Recipe
from digit_core.settings import Settings, read_settings
from digit_core.types import TrainConfig, TrainEvent
from digit_core.worker import execute_run

NICENESS = 10  # of a run that the dashboard started: those who draw there go first
CHUNK = 256  # drawings classified at once
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


FETCHED = {"mnist": (find_mnist, download_mnist), "pen-digits": (find_pen_digits, download_pen_digits)}


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


class Door(click.Group):
    """Tells a DigitError as one sentence on standard error, and exits with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DigitError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=Door)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Read hand-drawn digits, and train the networks that do."""
    ctx.obj = read_settings()


def config_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each training setting."""
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


@main.command()
@config_options
@click.option("--id", "run_id", help="Id of the run and its model; the time of day if left out.")
@click.option(
    "--preset", type=click.Choice(PRESETS), help="Settings that are known to work; what is given beside it overrides."
)
@click.option("--recipe", type=click.Choice(RECIPES), help="Settings that make a starter model again.")
@click.option("--resume", metavar="RUN_ID", help="Go on with a run that was stopped, failed or lost.")
@click.option("--queued", is_flag=True, hidden=True, help="The run waits already: do not put it into the queue.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@click.pass_context
def train(
    ctx: click.Context,
    /,
    run_id: str | None,
    preset: Preset | None,
    recipe: Recipe | None,
    resume: str | None,
    queued: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Train a model. Example: train --architecture cnn --preset quick-look"""
    settings: Settings = ctx.obj
    given = {n: value for n, value in values.items() if ctx.get_parameter_source(n) is ParameterSource.COMMANDLINE}
    if preset and recipe:
        raise click.UsageError("--preset and --recipe both choose the settings. Leave one out.")
    if resume and (run_id or preset or recipe or given):
        raise click.UsageError("--resume goes on with a run that has an id and settings. Leave --id and settings out.")
    if not queued:
        check_tensorflow()
    elif hasattr(os, "nice"):
        os.nice(NICENESS)
    if resume is None:
        config = TrainConfig(**values)
        if preset:
            config = dataclasses.replace(CONFIGS[config.architecture, preset], **given)
        if recipe:
            config = dataclasses.replace(RECIPES[recipe], **given)
            if config.architecture != RECIPES[recipe].architecture:
                raise click.UsageError(f"{recipe} is no recipe of an {config.architecture.upper()}. Leave one out.")
        check_dataset(config.dataset, settings)
        run_id = runs.create_run(config, settings, run_id)
    else:
        run_id = resume
        if not queued:
            runs.requeue(run_id, settings)
    tell = (lambda event: echo_json(dataclasses.asdict(event))) if as_json else _echo_event
    execute_run(run_id, settings, tell)
    if as_json:
        echo_json({"run_id": run_id})
    else:
        click.echo(f"Run {run_id}")


@main.command("fine-tune")
@click.option("--base", help="Id of the model that learns; the default one if left out.")
@click.option("--visitor", help="A nickname or class whose feedback is learned; everybody's if left out.")
@click.option("--since", type=UTC_MOMENT, help="Learn feedback from this moment on, in UTC.")
@click.option("--until", type=UTC_MOMENT, help="Learn feedback from before this moment, in UTC.")
@click.option("--id", "run_id", help="Id of the run and its model; the time of day if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON.")
@click.pass_obj
def fine_tune(settings: Settings, /, base: str | None, run_id: str | None, as_json: bool, **which: Any) -> None:
    """Teach a model what people said, and measure it before and after. Example: fine-tune --base cnn

    The model that comes of it reads only where it is named, until `models default` chooses it.
    """
    check_tensorflow()
    info = load_info(base or load_default(settings), settings)
    run_id = runs.create_run(plan_fine_tuning(info, settings, **which), settings, run_id)
    tell = (lambda event: echo_json(dataclasses.asdict(event))) if as_json else _echo_event
    if execute_run(run_id, settings, tell) is None:
        return
    found = runs.load_comparisons(run_id, settings)
    if found is None:
        raise ModelUnavailable(f"Its comparison with {info.model_id} cannot be read. Better discard run {run_id}.")
    comparisons, _ = found
    if as_json:
        echo_json({"run_id": run_id, "comparisons": [dataclasses.asdict(each) for each in comparisons]})
        return
    for each in comparisons:
        counts = f"{each.before:,} -> {each.after:,} of {each.total:,} right"
        click.echo(f"{each.name}: {counts}, {each.turned_wrong:,} turned wrong")
    for each in find_losses(comparisons):
        click.echo(f"Warning: it reads {each.name} worse than {info.model_id}.")
    click.echo(f"Run {run_id}. `python -m digit_core models default {run_id}` lets it read.")


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "model_id", help="Id of the model that reads; the default one if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON per picture.")
@click.pass_obj
def predict(settings: Settings, /, files: tuple[Path, ...], model_id: str | None, as_json: bool) -> None:
    """Read pictures, a line each. Example: predict seven.png"""
    classifier = load_classifier(model_id or load_default(settings), settings)
    failed = False
    for file in files:
        try:
            prediction = classifier.predict(preprocess(read_picture_file(file)))
        except DigitError as error:
            failed = True
            if as_json:
                echo_json({"file": str(file), "error": str(error)})
            else:
                click.echo(f"{file}: {error}", err=True)
            continue
        if as_json:
            answer = dataclasses.asdict(prediction) | {"probabilities": prediction.probabilities.tolist()}
            answer["model"] = answer.pop("model_id")
            echo_json({"file": str(file)} | {name: value for name, value in answer.items() if name != "image"})
        else:
            click.echo(f"{file}: {prediction.digit} ({100 * prediction.confidence:.1f} %)")
    if failed:
        raise SystemExit(1)


@main.command()
@click.option("--model", "model_id", help="Id of the model that reads; the default one if left out.")
@click.option("--data", required=True, help="mnist, a folder 0/ ... 9/ of pictures, a .npz or a .jsonl[.gz] file.")
@click.option(
    "--predictions", type=click.Path(dir_okay=False, path_type=Path), help="Write each answer to this CSV file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def evaluate(settings: Settings, /, model_id: str | None, data: str, predictions: Path | None, as_json: bool) -> None:
    """Measure a model. Example: evaluate --model cnn --data mnist"""
    classifier = load_classifier(model_id or load_default(settings), settings)
    if data == "mnist":
        mnist = load_mnist(settings)
        labels: list[int | None] = mnist.y_test.tolist()
        probabilities = classifier.predict_probabilities(mnist.x_test)
    else:
        labels, probabilities = _read_all(classifier, Path(data))
    if predictions:
        table = _to_csv(labels, probabilities)
        if predictions.exists() and not predictions.is_file():  # a device or a pipe is written to, not replaced
            predictions.write_bytes(table)
        else:
            write_file(predictions.resolve(), table)
    report = _score(labels, probabilities, data)
    if as_json:
        echo_json({"model": classifier.info.model_id} | report)
        return
    click.echo(
        f"{classifier.info.model_id} on {data}: {100 * report['accuracy']:.2f} % of {report['n']:,} right, "
        f"loss {report['loss']:.4f} nats, ECE {100 * report['ece']:.2f} %"
    )


@main.group()
def models() -> None:
    """The stored models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_list(settings: Settings, /, as_json: bool) -> None:
    """List the models, a line each."""
    infos = list_models(settings)
    if as_json:
        echo_json({"models": [json.loads(to_json(info)) for info in infos]})
        return
    for info in infos:
        click.echo(
            f"{info.model_id:24} {info.architecture}  {info.parameters:>9,} weights  {info.size_bytes / 1e6:4.1f} MB  "
            f"{100 * info.test_accuracy:.2f} % right on the test images of {info.dataset}"
        )


@models.command("default")
@click.argument("model_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_default(settings: Settings, /, model_id: str | None, as_json: bool) -> None:
    """Say which model reads where none is named, or choose it. Example: models default cnn"""
    if model_id is not None:
        save_default(model_id, settings)
    if as_json:
        echo_json({"model": load_default(settings)})
    else:
        click.echo(load_default(settings))


@main.group()
def data() -> None:
    """The data sets that are learned from."""


@data.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def data_list(settings: Settings, /, as_json: bool) -> None:
    """Say which data sets are on this machine, and where."""
    found = {name: find(settings) for name, (find, _) in FETCHED.items()}
    found = {name: path if path and path.is_file() else None for name, path in found.items()}
    if as_json:
        echo_json({name: None if path is None else str(path) for name, path in found.items()})
        return
    for name, path in found.items():
        click.echo(f"{name:12} {path or f'not here: python -m digit_core data fetch {name}'}")


@data.command("fetch")
@click.argument("name", type=click.Choice(list(FETCHED)))
@click.pass_obj
def data_fetch(settings: Settings, /, name: str) -> None:
    """Download a data set into the data folder. Example: data fetch pen-digits"""
    find, download = FETCHED[name]
    with click.progressbar(length=100, label=f"Downloading {name}", file=sys.stderr) as bar:
        path = download(settings, lambda share: bar.update(int(100 * share) - bar.pos))
    click.echo(str(path))
    if find(settings) != path:
        variable = f"DIGIT_LAB_{name.replace('-', '_').upper()}"
        click.echo(f"It is not used while {variable} names another file. Take that setting away.", err=True)


def _read_all(classifier: Classifier, path: Path) -> tuple[list[int | None], np.ndarray]:
    """Labels and probabilities `(N, 10)` of a file's drawings; NaN for a drawing that cannot be read."""
    labels: list[int | None] = []
    images: list[np.ndarray] = []
    answers = [np.empty((0, 10), np.float32)]
    unread: list[int] = []

    def classify() -> None:
        answers.append(classifier.predict_probabilities(np.array(images).reshape(-1, 28, 28)))
        images.clear()

    for label, drawing in read_drawings(path):
        try:
            if isinstance(drawing, DigitError):
                raise drawing
            images.append(preprocess(drawing))
        except DigitError:
            unread.append(len(labels))
            images.append(np.zeros((28, 28), np.uint8))
        labels.append(label)
        if len(images) == CHUNK:
            classify()
    classify()
    probabilities = np.concatenate(answers)
    probabilities[unread] = np.nan
    return labels, probabilities


def _score(labels: list[int | None], probabilities: np.ndarray, data: str) -> dict[str, Any]:
    """Accuracy over all labelled drawings, one that could not be read being wrong; the rest over those that were."""
    labelled = np.array([label is not None for label in labels], bool)
    if not labelled.any():
        raise DataUnavailable(f"No drawing in {data} has a label. Give some, to measure by.")
    read = labelled & ~np.isnan(probabilities).any(axis=1)
    if not read.any():
        raise DataUnavailable(f"No labelled drawing in {data} could be read. Check what it holds.")
    evaluation = compare(np.array([labels[i] for i in np.flatnonzero(read)]), probabilities[read])
    return {
        "n": int(labelled.sum()),
        "accuracy": evaluation.accuracy * float(read.sum() / labelled.sum()),
        "loss": evaluation.loss,
        "ece": evaluation.ece,
        "confusion_matrix": evaluation.confusion_matrix.tolist(),
    }


def _to_csv(labels: list[int | None], probabilities: np.ndarray) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["index", "label", "digit", "confidence", "digit_score", "is_digit"])
    for index, (label, row) in enumerate(zip(labels, probabilities, strict=True)):
        confidence = f"{row.max():.6f}"
        answer = ["", "", "", ""] if np.isnan(row).any() else [int(row.argmax()), confidence, confidence, True]
        writer.writerow([index, label, *answer])
    return table.getvalue().encode()


def _echo_event(event: TrainEvent) -> None:
    on_screen = sys.stdout.isatty()
    if event.kind == "batch" and not on_screen:
        return
    values = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
    left = "" if event.eta_s is None else f"  {event.eta_s:.0f} s left"
    line = f"{event.kind} {event.epoch or ''} {values}{left} {event.message}"
    click.echo(f"\r{line}\x1b[K" if on_screen else line, nl=event.kind != "batch")


main.add_command(feedback)
