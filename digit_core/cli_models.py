"""The command line's `models`: listed, looked at, chosen, taken out and brought in, deleted and restored."""

import json
from pathlib import Path
from typing import Any

import click

from digit_core import runs
from digit_core.cli_door import complete_deleted, complete_model, echo_json
from digit_core.model_archive import FORMATS, export_model
from digit_core.model_card import list_settings
from digit_core.model_import import FORMATS as IMPORTED
from digit_core.model_import import import_model
from digit_core.model_store import (
    find_previous,
    list_models,
    load_default,
    load_info,
    save_default,
    to_json,
    write_file,
)
from digit_core.settings import Settings
from digit_core.types import ModelInfo

SCALES = {"0-1": 1, "0-255": 255}  # what pixels may be -> full ink
DOUBTFUL = 0.8  # accuracy below which an imported network was hardly meant to be read so


@click.group()
def models() -> None:
    """The stored models."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_list(settings: Settings, /, as_json: bool) -> None:
    """List the models, a line each. Example: models list"""
    infos, default = list_models(settings), load_default(settings)
    if as_json:
        echo_json({"models": [_to_values(info, default) for info in infos]})
        return
    for info in infos:
        reads = "  (default)" if info.model_id == default else ""
        click.echo(
            f"{info.model_id:24} {info.architecture}  {info.parameters:>9,} weights  {info.size_bytes / 1e6:4.1f} MB  "
            f"{_accuracy(info)}{reads}"
        )


@models.command("show")
@click.argument("model_id", shell_complete=complete_model)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_show(settings: Settings, /, model_id: str, as_json: bool) -> None:
    """Say what is known of a model. Example: models show cnn"""
    info, default = load_info(model_id, settings), load_default(settings)
    if as_json:
        echo_json(_to_values(info, default))
        return
    for name, words in _describe(info, default).items():
        click.echo(f"{name:12} {words}")


@models.command("default")
@click.argument("model_id", required=False, shell_complete=complete_model)
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


@models.command("export")
@click.argument("model_id", shell_complete=complete_model)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_export(settings: Settings, /, model_id: str, file: Path, as_json: bool) -> None:
    """Write a model to FILE: .zip holds all of it, .keras its network for Keras, .tflite the one for LiteRT, .md tells
    of it: its card.

    Example: models export cnn cnn.zip
    """
    if file.suffix not in FORMATS:
        raise click.UsageError(f"{file.name} does not tell what to write. End it with {', '.join(FORMATS)}.")
    content = export_model(load_info(model_id, settings), file.suffix, settings)
    write_file(file.resolve(), content)
    if as_json:
        echo_json({"model": model_id, "file": str(file), "bytes": len(content)})
    else:
        click.echo(f"{model_id} is in {click.format_filename(file)}, {len(content) / 1e6:.1f} MB")


@models.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "model_id", help="Id of the model; the one that it had, or the file's name, if left out.")
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    default="0-1",
    show_default=True,
    help="The pixels that a .keras or .h5 network learned from, ink bright.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_import(settings: Settings, /, file: Path, model_id: str | None, scale: str, as_json: bool) -> None:
    """Add a model: a .zip that `models export` wrote, or a .keras or .h5 network that reads 28 x 28 digits.

    Import only files of people you trust. Example: models import lenet.keras --scale 0-255
    """
    if file.suffix.lower() not in IMPORTED:
        raise click.UsageError(f"{file.name} is no model that can be imported. Give a {', '.join(IMPORTED)} file.")
    if file.suffix.lower() == ".zip" and scale != "0-1":
        raise click.UsageError("An exported model knows its --scale. Leave it out.")
    info = import_model(file, settings, model_id, SCALES[scale], lambda what: click.echo(what, err=True))
    if info.imported and info.test_accuracy < DOUBTFUL:
        click.echo("Warning: it reads few digits. Perhaps it learned from pixels of another --scale.", err=True)
    if as_json:
        echo_json(_to_values(info, load_default(settings)))
        return
    reads = f"`python -m digit_core models default {info.model_id}` lets it read."
    click.echo(f"{info.model_id}: {_accuracy(info)}. {reads}")


@models.command("delete")
@click.argument("model_id", shell_complete=complete_model)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_delete(settings: Settings, /, model_id: str, yes: bool, as_json: bool) -> None:
    """Delete a model, and the run that made it. Example: models delete cnn-20261121-130352

    `models restore` brings the last ten back.
    """
    runs.check_deletable(model_id, settings)
    if not yes:
        click.confirm(f"Delete {model_id}?", abort=True, err=True)
    had_read, previous = load_default(settings) == model_id, find_previous(settings)
    runs.delete_run(model_id, settings)
    if had_read:
        save_default(previous, settings)
    if as_json:
        echo_json({"deleted": model_id, "default": load_default(settings)})
        return
    reads = f" {previous} reads now." if had_read else ""
    click.echo(f"{model_id} is deleted.{reads} `python -m digit_core models restore {model_id}` brings it back.")


@models.command("restore")
@click.argument("model_id", shell_complete=complete_deleted)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def models_restore(settings: Settings, /, model_id: str, as_json: bool) -> None:
    """Bring a deleted model back. Example: models restore cnn-20261121-130352"""
    runs.restore_run(model_id, settings)
    if as_json:
        echo_json({"restored": model_id})
    else:
        click.echo(f"{model_id} is back.")


def _to_values(info: ModelInfo, default: str) -> dict[str, Any]:
    return json.loads(to_json(info)) | {"default": info.model_id == default}


def _accuracy(info: ModelInfo) -> str:
    return f"{100 * info.test_accuracy:.2f} % right on the test images of {info.dataset.split('+')[0]}"


def _describe(info: ModelInfo, default: str) -> dict[str, str]:
    def pairs(values: dict[str, Any]) -> str:
        return ", ".join(f"{name} {value}" for name, value in values.items())

    return {
        "model": f"{info.model_id}{' (default)' if info.model_id == default else ''}",
        "kind": info.architecture.upper(),
        "parameters": f"{info.parameters:,}",
        "size": f"{info.size_bytes / 1e6:.2f} MB",
        "test images": f"{_accuracy(info)}, loss {info.test_loss:.4f} nats",
        "learned from": "elsewhere: it was imported" if info.imported else info.dataset,
        "began as": info.parent_id or "nothing",
        "made": f"{info.created_at:%Y-%m-%d %H:%M} UTC",
        "calibration": pairs({name: f"{value:.3f}" for name, value in info.calibration.items()}),
        "versions": pairs(info.versions),
    } | ({} if info.imported else {"settings": pairs(list_settings(info.config))})
