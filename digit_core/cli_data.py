"""The command line's `data`: the data sets that are learned from."""

import sys

import click

from digit_core.cli_door import echo_json
from digit_core.datasets import download_mnist, find_mnist
from digit_core.pen_digits import download_pen_digits, find_pen_digits
from digit_core.settings import Settings

FETCHED = {"mnist": (find_mnist, download_mnist), "pen-digits": (find_pen_digits, download_pen_digits)}


@click.group()
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def data_fetch(settings: Settings, /, name: str, as_json: bool) -> None:
    """Download a data set into the data folder. Example: data fetch pen-digits"""
    find, download = FETCHED[name]
    with click.progressbar(length=100, label=f"Downloading {name}", file=sys.stderr) as bar:
        path = download(settings, lambda share: bar.update(int(100 * share) - bar.pos))
    if as_json:
        echo_json({name: str(path)})
    else:
        click.echo(str(path))
    if (used := find(settings)) != path:
        click.echo(f"It is not used: {used} is. Take that file or the setting that names it away.", err=True)
