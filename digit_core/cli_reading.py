"""The command line's `predict` and `evaluate`: pictures read, a model measured."""

import csv
import io
from pathlib import Path
from typing import Any

import click
import numpy as np

from digit_core.classifier import IS_DIGIT, Classifier, load_classifier, to_plain
from digit_core.cli_door import complete_model, echo_json
from digit_core.datasets import load_mnist
from digit_core.drawings import read_drawings, read_picture_file
from digit_core.errors import DataUnavailable, DigitError
from digit_core.evaluation import evaluate as compare
from digit_core.model_store import load_default, storing, write_file
from digit_core.preprocessing import preprocess
from digit_core.settings import Settings

CHUNK = 256  # drawings classified at once

model_option = click.option(
    "--model",
    "model_id",
    shell_complete=complete_model,
    help="Id of the model that reads; the default one if left out.",
)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@model_option
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON per picture.")
@click.pass_obj
def predict(settings: Settings, /, files: tuple[Path, ...], model_id: str | None, as_json: bool) -> None:
    """Read pictures, a line each. Example: predict seven.png"""
    classifier = load_classifier(model_id or load_default(settings), settings)
    failed = False
    for file in files:
        name = click.format_filename(file)
        try:
            prediction = classifier.predict(preprocess(read_picture_file(file)))
        except DigitError as error:
            failed = True
            if as_json:
                echo_json({"file": str(file), "error": str(error)})
            else:
                click.echo(f"{name}: {error}", err=True)
            continue
        if as_json:
            echo_json({"file": str(file)} | to_plain(prediction))
        else:
            doubt = "" if prediction.is_digit else ", but it does not look like a digit"
            click.echo(f"{name}: {prediction.digit} ({100 * prediction.confidence:.1f} %){doubt}")
    if failed:
        raise SystemExit(1)


@click.command()
@model_option
@click.option("--data", required=True, help="mnist, a folder 0/ ... 9/ of pictures, a .npz or a .jsonl[.gz] file.")
@click.option(
    "--predictions", type=click.Path(dir_okay=False, path_type=Path), help="Write each answer to this CSV file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def evaluate(settings: Settings, /, model_id: str | None, data: str, predictions: Path | None, as_json: bool) -> None:
    """Measure a model. Example: evaluate --model cnn --data mnist"""
    if predictions and not predictions.resolve().parent.is_dir():
        raise click.UsageError(f"There is no folder for {click.format_filename(predictions)}. Make it first.")
    classifier = load_classifier(model_id or load_default(settings), settings)
    if data == "mnist":
        mnist = load_mnist(settings)
        labels: list[int | None] = mnist.y_test.tolist()
        probabilities, scores = classifier.judge(mnist.x_test)
    else:
        labels, probabilities, scores = _read_all(classifier, Path(data))
    report = _score(labels, probabilities, data)
    if as_json:
        echo_json({"model": classifier.info.model_id} | report)
    else:
        click.echo(
            f"{classifier.info.model_id} on {data}: {100 * report['accuracy']:.2f} % of {report['n']:,} right, "
            f"loss {report['loss']:.4f} nats, ECE {100 * report['ece']:.2f} %"
        )
    if predictions:
        _write(predictions, _to_csv(labels, probabilities, scores))


def _write(path: Path, table: bytes) -> None:
    if path.exists() and not path.is_file():  # a device or a pipe is written to, not replaced
        with storing(path):
            path.write_bytes(table)
    else:
        write_file(path.resolve(), table)


def _read_all(classifier: Classifier, path: Path) -> tuple[list[int | None], np.ndarray, np.ndarray]:
    """Labels, probabilities `(N, 10)` and digit scores `(N,)` of a file's drawings; NaN for one that cannot be read."""
    labels: list[int | None] = []
    images: list[np.ndarray] = []
    answers: list[tuple[np.ndarray, np.ndarray]] = []
    unread: list[int] = []

    def classify() -> None:
        answers.append(classifier.judge(np.array(images, np.uint8).reshape(-1, 28, 28)))
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
    probabilities, scores = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    probabilities[unread] = scores[unread] = np.nan
    return labels, probabilities, scores


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


def _to_csv(labels: list[int | None], probabilities: np.ndarray, scores: np.ndarray) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["index", "label", "digit", "confidence", "digit_score", "is_digit"])
    for index, (label, row, score) in enumerate(zip(labels, probabilities, scores, strict=True)):
        answer = [int(row.argmax()), f"{row.max():.6f}", f"{score:.6f}", score >= IS_DIGIT]
        writer.writerow([index, label, *(answer if not np.isnan(score) else [""] * 4)])
    return table.getvalue().encode()
