"""What the command line's parts share: a door where failures become sentences, JSON, ids completed."""

import json
import os
import sys
from contextlib import suppress
from typing import Any

import click

from digit_core import runs
from digit_core.errors import DigitError
from digit_core.model_store import list_models
from digit_core.settings import read_settings


class Door(click.Group):
    """Tells a DigitError, and what cannot be opened or written, as one sentence on standard error, and exits with 1."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.filename is not None:  # a file, not what is printed
                name = click.format_filename(error.filename)
                click.echo(f"Error: {name}: {error.strerror}. Check its name, and who may use it.", err=True)
                sys.exit(1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is written at the very end
            click.echo(f"Error: The output could not be written: {error.strerror}. Send it elsewhere.", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DigitError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(1)


def echo_json(value: Any) -> None:
    """Print a line of JSON."""
    click.echo(json.dumps(value))


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The ids of the models that begin as what somebody has typed into a shell."""
    with suppress(DigitError):
        return [info.model_id for info in list_models(read_settings()) if info.model_id.startswith(incomplete)]
    return []


def complete_deleted(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The ids of the deleted runs that begin as what somebody has typed into a shell."""
    with suppress(DigitError):
        return [run_id for run_id in runs.list_deleted(read_settings()) if run_id.startswith(incomplete)]
    return []
