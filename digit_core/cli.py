"""The command line: `python -m digit_core COMMAND`. Exit codes: 0 done, 1 failed with a sentence, 2 wrong usage."""

import dataclasses
import os
import sys
from typing import Any

import click

from digit_core import runs
from digit_core.architectures import check_tensorflow
from digit_core.cli_data import data
from digit_core.cli_door import Door, complete_model, echo_json
from digit_core.cli_feedback import UTC_MOMENT, feedback
from digit_core.cli_models import models
from digit_core.cli_reading import evaluate, predict
from digit_core.cli_settings import choose_config, config_options, given_settings
from digit_core.cli_sweep import sweep
from digit_core.datasets import check_dataset
from digit_core.errors import ModelUnavailable
from digit_core.learning import find_losses, plan_fine_tuning
from digit_core.model_store import load_default, load_info
from digit_core.presets import Preset, Recipe
from digit_core.settings import Settings, read_settings
from digit_core.types import TrainEvent
from digit_core.worker import execute_run

NICENESS = 10  # of a run that the dashboard started: those who draw there go first


@click.group(cls=Door)
@click.pass_context
def main(ctx: click.Context) -> None:
    """Read hand-drawn digits, and train the networks that do."""
    ctx.obj = read_settings()


@main.command()
@config_options
@click.option("--id", "run_id", help="Id of the run and its model; the time of day if left out.")
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
    """Train a model, on this machine. Example: train --architecture cnn --preset quick-look"""
    settings: Settings = ctx.obj if queued else dataclasses.replace(ctx.obj, ray_address=None)
    if resume and (run_id or preset or recipe or given_settings(ctx, values)):
        raise click.UsageError("--resume goes on with a run that has an id and settings. Leave --id and settings out.")
    if not queued:
        check_tensorflow()
    elif hasattr(os, "nice"):
        os.nice(NICENESS)
    if resume is None:
        config = choose_config(ctx, values, preset, recipe)
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
@click.option("--base", shell_complete=complete_model, help="Id of the model that learns; the default one if left out.")
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
    settings = dataclasses.replace(settings, ray_address=None)
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


def _echo_event(event: TrainEvent) -> None:
    on_screen, passing = sys.stdout.isatty(), event.kind == "batch" or bool(event.share)
    if passing and not on_screen:
        return
    values = "  ".join(f"{name} {value:.4f}" for name, value in event.metrics.items())
    left = "" if event.eta_s is None else f"  {event.eta_s:.0f} s left"
    share = "" if event.share is None else f": {100 * event.share:.0f} %"
    line = f"{event.kind} {event.epoch or ''} {values} {event.message}{share}{left}"
    click.echo(f"\r{line}\x1b[K" if on_screen else line, nl=not passing)


for command in (predict, evaluate, sweep, models, feedback, data):
    main.add_command(command)
