"""The command line's `sweep`: several trainings that differ in some settings, compared."""

import contextlib
import dataclasses
import signal
import time
from collections.abc import Iterator
from typing import Any

import click

from digit_core.cli_door import echo_json
from digit_core.cli_settings import choose_config, config_options
from digit_core.errors import TrainingUnavailable
from digit_core.evaluation import interval
from digit_core.model_card import tell_value
from digit_core.presets import Preset, Recipe
from digit_core.runs import ACTIVE, check_launcher
from digit_core.settings import Settings
from digit_core.sweeps import (
    MOST_RUNS,
    Trial,
    compare_trials,
    find_best,
    load_sweep,
    plan_sweep,
    read_values,
    start_sweep,
    stop_sweep,
)
from digit_core.types import Sweep

POLL = 0.5  # seconds


@click.command()
@config_options
@click.option(
    "--try",
    "tried",
    nargs=2,
    multiple=True,
    metavar="SETTING VALUES",
    help="What a setting is to be: `learning-rate 0.001,0.004`, `hidden-units '256; 512,256'`, `dropout 0..0.4`.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, MOST_RUNS),
    help="Draw so many runs by chance; each combination is one if left out.",
)
@click.option("--minutes", type=click.FloatRange(0), default=0.0, help="Stop all that are not done by then.")
@click.option("--prune", is_flag=True, help="Stop runs that lag behind the others.")
@click.option("--name", default="", help="What the sweep is called; its runs have a number behind it.")
@click.option("--show", metavar="SWEEP", help="Show a sweep that was started before.")
@click.option("--json", "as_json", is_flag=True, help="Print each change, and the results, as a line of JSON.")
@click.pass_context
def sweep(
    ctx: click.Context,
    /,
    tried: tuple[tuple[str, str], ...],
    sample: int | None,
    minutes: float,
    prune: bool,
    name: str,
    show: str | None,
    as_json: bool,
    preset: Preset | None,
    recipe: Recipe | None,
    **values: Any,
) -> None:
    """Train several models that differ in some settings, and name the best. Example: sweep --architecture ann --preset
    quick-look --try learning-rate 0.001,0.004 --try dropout 0,0.1,0.2

    The best is that of the highest validation accuracy. Ctrl-C stops all of them.
    """
    settings: Settings = ctx.obj
    if show and tried:
        raise click.UsageError("--show looks at a sweep that was started before. Leave --try out.")
    if show:
        _tell_results(load_sweep(show, settings), settings, as_json)
        return
    if not tried:
        raise click.UsageError("Say in what the runs differ, like --try learning-rate 0.001,0.004.")
    check_launcher(settings)
    base = choose_config(ctx, values, preset, recipe)
    varied = {}
    for setting, text in tried:
        field = setting.replace("-", "_")
        if field in varied:
            raise click.UsageError(f"--try {setting} is given twice. Write all its values behind one.")
        varied[field] = read_values(field, text)
    configs = plan_sweep(base, varied, settings, sample or 0, base.seed)
    if sample and len(configs) < sample:
        click.echo(f"There are only {len(configs)} combinations.", err=True)
    with _interrupted_by_signals():
        started = start_sweep(configs, settings, name, prune=prune, time_s=60 * minutes)
        click.echo(f"Sweep {started.sweep_id}: {len(configs)} runs", err=True)
        try:
            _follow(started, settings, as_json)
        except BaseException:
            stop_sweep(started, settings)
            raise
    if _tell_results(started, settings, as_json) is None:
        raise TrainingUnavailable("None of the runs made a model. What they said last stands above.")


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Take the end of the terminal, and being asked to end, for Ctrl-C."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has one of them
    before = {name: signal.signal(getattr(signal, name), signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _follow(started: Sweep, settings: Settings, as_json: bool) -> None:
    """Tell what each run does, until all are over."""
    told: dict[str, tuple[str, int]] = {}
    while True:
        trials = compare_trials(started, settings)
        for trial in sorted(trials, key=lambda trial: started.run_ids.index(trial.run.run_id)):
            if told.get(trial.run.run_id) != (trial.run.status, trial.epochs):
                told[trial.run.run_id] = trial.run.status, trial.epochs
                if as_json:
                    echo_json(_to_plain(trial))
                else:
                    done = f"  epoch {trial.epochs} of {trial.run.config.epochs}" if trial.epochs else ""
                    right = f"  {100 * trial.accuracy:.2f} % of validation" if trial.right else ""
                    reason = f"  {trial.reason}" if trial.reason else ""
                    click.echo(f"{trial.run.run_id}  {trial.run.status}{done}{right}{reason}")
        if not any(trial.run.status in ACTIVE for trial in trials):
            return
        time.sleep(POLL)


def _tell_results(of: Sweep, settings: Settings, as_json: bool) -> Trial | None:
    """Print what became of the runs, and return the best one."""
    trials = compare_trials(of, settings)
    best = find_best(trials)
    if as_json:
        best_id = best.run.run_id if best else None
        echo_json({"sweep": of.sweep_id, "best": best_id, "runs": [_to_plain(trial) for trial in trials]})
        return best
    for trial in trials:
        values = ", ".join(f"{name} {tell_value(value)}" for name, value in trial.values.items())
        right = "-" if trial.right is None else f"{100 * trial.accuracy:.2f} %"
        tested = "-" if trial.test_accuracy is None else f"{100 * trial.test_accuracy:.2f} %"
        took = f"{trial.run.elapsed_s:.0f} s"
        click.echo(
            f"{trial.run.run_id:24} {trial.run.status:9} {right:>8} validation {tested:>8} test {took:>7}  {values}"
        )
    if best and best.right:
        low, high = interval(*best.right)
        click.echo(
            f"Best: {best.run.run_id}, {100 * best.accuracy:.2f} % of {best.images} validation images right (95 % "
            f"interval {100 * low:.2f} to {100 * high:.2f} %). `python -m digit_core models default {best.run.run_id}` "
            "lets it read."
        )
    return best


def _to_plain(trial: Trial) -> dict[str, Any]:
    total, correct = trial.right or (None, None)
    low, high = interval(total, correct) if total and correct is not None else (None, None)
    return {
        "run_id": trial.run.run_id,
        "status": trial.run.status,
        "reason": trial.reason,
        "values": trial.values,
        "epochs": trial.epochs,
        "validation_images": total,
        "validation_right": correct,
        "validation_low": low,
        "validation_high": high,
        "test_accuracy": trial.test_accuracy,
        "seconds": trial.run.elapsed_s,
        "settings": dataclasses.asdict(trial.run.config),
    }
