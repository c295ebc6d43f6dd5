"""Sweeps: several runs that differ in some settings, what became of them, and which of them go on.

A sweep is a file, `models/.sweeps/ID.json`; its runs, `ID-1` and so on, are runs like any other.
"""

import contextlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import numpy as np

from digit_core import runs
from digit_core.datasets import check_dataset, count_images
from digit_core.diary import read_changes, read_epochs
from digit_core.errors import DigitError, InvalidConfig, ModelUnavailable, StorageFailed
from digit_core.model_store import METADATA, load_info, model_folder, storing, to_json, write_file
from digit_core.ray_cluster import lags_by_asha
from digit_core.settings import Settings
from digit_core.training import check_config
from digit_core.types import MODEL_ID, Run, Sweep, TrainConfig, TrainEvent

SWEEPS = ".sweeps"
MOST_RUNS = 24
MOST_SECONDS = 7 * 86_400.0
SHARED = (  # by all runs of a sweep, which are compared by the same validation images
    *("dataset", "validation_fraction", "teacher_id"),
    *("base_model_id", "visitor", "since", "until"),
)
VARIABLE = tuple(field.name for field in fields(TrainConfig) if field.name not in SHARED)
WORDS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
LOGARITHMIC = ("learning_rate", "batch_size")  # of a range, each tenfold is as likely
DIGITS = 3  # that a number drawn from a range has
LEAST_RIVALS = 3  # runs that have come as far, for the median to mean anything
GRACE = 0.25  # the share of its epochs after which a run may be stopped for lagging behind


class Range(NamedTuple):
    """Numbers from low to high, to draw from."""

    low: float
    high: float


Values = tuple[Any, ...] | Range


class Trial(NamedTuple):
    """A run of a sweep and what it came to.

    values: what the sweep's settings are in it; epochs: how many are done; right: how many validation images it reads
    rightly after the last of these, `(total, correct)`, None while none is done; test_accuracy: its model's, in 0-1;
    reason: why it failed or was stopped, where that was told.
    """

    run: Run
    values: dict[str, Any]
    epochs: int
    right: tuple[int, int] | None
    test_accuracy: float | None
    reason: str

    @property
    def accuracy(self) -> float:
        """The share of the validation images that is read rightly; -1 while none are read."""
        return self.right[1] / self.right[0] if self.right else -1.0

    @property
    def images(self) -> str:
        """How many images validate: `5,000`, or `about 5,000` where feedback, which is not counted, is among them."""
        about = "about " if "feedback" in self.run.config.dataset.split("+") else ""
        return f"{about}{self.right[0]:,}" if self.right else "none"


def read_values(setting: str, text: str) -> Values:
    """Read what a setting is to be, one after the other: `0.001, 0.004`, layers as `256; 512, 256`, or `0.001..0.01`.

    Raises InvalidConfig.
    """
    if setting not in VARIABLE:
        raise InvalidConfig(f"There is no setting {setting!r:.40} to vary. Choose one of {', '.join(VARIABLE)}.")
    default = getattr(TrainConfig(), setting)
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    is_whole = is_number and isinstance(default, int)
    try:
        if is_number and (ends := re.fullmatch(r"\s*([\d.e+-]+?)\s*\.\.\s*([\d.e+-]+)\s*", text)):
            low, high = (float(end) for end in ends.groups())
            if (
                not 0 <= low < high < math.inf
                or (low == 0 and setting in LOGARITHMIC)
                or (is_whole and low % 1 + high % 1)
            ):
                raise ValueError("no range")
            return Range(low, high)
        parts = text.split(";" if isinstance(default, tuple) or ";" in text else ",")
        values = tuple(_read_value(part.strip(), default) for part in parts if part.strip())
    except (ValueError, KeyError):
        values = ()
    if not values:
        words = setting.replace("_", " ")
        raise InvalidConfig(f"What {words} is to be is {text!r:.60}. Write it like {_example(default)}.")
    return tuple(dict.fromkeys(values))


def _example(default: Any) -> str:
    if isinstance(default, tuple):
        return "256; 512, 256"
    if isinstance(default, bool):
        return "yes, no"
    if isinstance(default, str):
        return f"{default}, and others behind it"
    return "2, 3 or 2..9" if isinstance(default, int) else "0.1, 0.2 or 0.1..0.3"


def _read_value(text: str, default: Any) -> Any:
    if isinstance(default, bool):
        return WORDS[text.lower()]
    if isinstance(default, tuple):
        return tuple(int(part) for part in text.replace(",", " ").split())
    return type(default)(text)


def plan_sweep(
    base: TrainConfig, varied: Mapping[str, Values], settings: Settings, sample: int = 0, seed: int = 0
) -> list[TrainConfig]:
    """The configs of a sweep: `base` with each combination of what is varied, or so many drawn from these by chance.

    Raises InvalidConfig for more than MOST_RUNS, for ranges of which no sample is drawn, and for settings that no run
    can have; DataUnavailable.
    """
    if not varied:
        raise InvalidConfig("Nothing differs between the runs. Name a setting, and what it is to be.")
    ranges = [name for name, values in varied.items() if isinstance(values, Range)]
    if not 0 <= sample <= MOST_RUNS:
        raise InvalidConfig(f"The number of runs is {sample}. Choose a value from 1 to {MOST_RUNS}.")
    if ranges and not sample:
        words = ranges[0].replace("_", " ")
        raise InvalidConfig(f"Of {words} a range is given. Say how many runs are drawn from it, or write values.")
    combinations = math.inf if ranges else math.prod(len(values) for values in varied.values())
    if combinations <= sample or not sample:
        if combinations > MOST_RUNS:
            raise InvalidConfig(
                f"These values make {combinations:,} runs, at most {MOST_RUNS} are a sweep. Leave some out, or say how "
                "many are drawn from them."
            )
        configs = [replace(base, **dict(zip(varied, each, strict=True))) for each in product(*varied.values())]
    else:
        configs = _draw(base, varied, sample, seed)
    if len(configs) < 2:
        raise InvalidConfig("That is a single run. Write more values, or train it alone.")
    for config in configs:
        check_config(config)
    check_dataset(base.dataset, settings)
    return configs


def _draw(base: TrainConfig, varied: Mapping[str, Values], sample: int, seed: int) -> list[TrainConfig]:
    """Random search (Bergstra and Bengio 2012), no combination twice."""
    rng = np.random.default_rng(seed)
    drawn: dict[TrainConfig, None] = {}
    for _ in range(100 * sample):
        drawn[replace(base, **{name: _draw_value(name, values, rng) for name, values in varied.items()})] = None
        if len(drawn) == sample:
            break
    return list(drawn)


def _draw_value(setting: str, values: Values, rng: np.random.Generator) -> Any:
    if not isinstance(values, Range):
        return values[int(rng.integers(len(values)))]
    if setting in LOGARITHMIC:
        number = math.exp(rng.uniform(math.log(values.low), math.log(values.high)))
    else:
        number = rng.uniform(*values)
    is_whole = isinstance(getattr(TrainConfig(), setting), int)
    return round(number) if is_whole else float(f"{number:.{DIGITS}g}")


def start_sweep(
    configs: Sequence[TrainConfig],
    settings: Settings,
    name: str = "",
    owner: str = "",
    prune: bool = False,
    time_s: float = 0.0,
) -> Sweep:
    """Start a run for each config, and return their sweep at once.

    prune: stop those whose validation accuracy lags behind the others'; time_s: seconds after the first one's start in
    which all are stopped that are not done, 0 for no limit; owner: as for a run, a visitor of its own where none is
    named. Raises what `runs.start_run` raises, and leaves nothing behind then.
    """
    if not 0 <= time_s <= MOST_SECONDS:
        raise InvalidConfig(f"The time is {time_s:g} seconds. Choose at most {MOST_SECONDS:,.0f}, or 0 for no limit.")
    runs.check_room(len(configs), owner, settings)
    varied = tuple(name for name in VARIABLE if len({getattr(config, name) for config in configs}) > 1)
    sweep = _reserve(len(configs), varied, settings, name, prune, time_s)
    created: list[str] = []
    try:
        for run_id, config in zip(sweep.run_ids, configs, strict=True):
            owned_by = owner or f"sweep {sweep.sweep_id}"
            created.append(runs.create_run(config, settings, run_id, owner=owned_by, sweep=sweep.sweep_id))
            runs.launch(run_id, settings)
    except BaseException:  # an interruption, too
        for run_id in created:
            runs.discard(run_id, settings)
        _path(sweep.sweep_id, settings).unlink(missing_ok=True)
        raise
    return sweep


def _reserve(count: int, varied: tuple[str, ...], settings: Settings, name: str, prune: bool, time_s: float) -> Sweep:
    """Write the file of a new sweep, under the first id that neither a sweep nor any of its runs has."""
    created_at = datetime.now(UTC)
    name = runs.to_id(name) or f"sweep {created_at:%Y%m%d %H%M%S}"
    for sweep_id in runs.propose_ids(TrainConfig(), settings, name):
        run_ids = tuple(f"{sweep_id}-{number}" for number in range(1, count + 1))
        if not all(runs.is_free(run_id, settings) for run_id in run_ids):
            continue
        sweep = Sweep(sweep_id, created_at, varied, run_ids, prune, time_s)
        path = _path(sweep_id, settings)
        with storing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
        try:
            write_file(path, to_json(sweep))
        except StorageFailed:
            path.unlink(missing_ok=True)
            raise
        return sweep
    raise ModelUnavailable(f"There are very many sweeps {name!r} already. Choose another name.")


def load_sweep(sweep_id: str, settings: Settings) -> Sweep:
    """Read a sweep. Raises ModelUnavailable when there is none, or it cannot be read."""
    if MODEL_ID.fullmatch(sweep_id):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            values = json.loads(_path(sweep_id, settings).read_bytes())
            run_ids, varied = tuple(map(str, values["run_ids"])), tuple(map(str, values["varied"]))
            time_s = float(values["time_s"])
            if all(map(MODEL_ID.fullmatch, run_ids)) and set(varied) <= set(VARIABLE) and time_s >= 0:
                created_at = datetime.fromisoformat(values["created_at"]).astimezone(UTC)
                return Sweep(sweep_id, created_at, varied, run_ids[:MOST_RUNS], values["prune"] is True, time_s)
    raise ModelUnavailable(f"There is no sweep {sweep_id!r:.80}, or its file cannot be read. Start a new one.")


def list_sweeps(settings: Settings) -> list[Sweep]:
    """The sweeps, newest first; those that cannot be read, or of which no run is left, are not among them."""
    found = []
    for path in (settings.models / SWEEPS).glob("*.json"):
        with contextlib.suppress(ModelUnavailable):
            found.append(load_sweep(path.stem, settings))
    left = [each for each in found if any(model_folder(run_id, settings).exists() for run_id in each.run_ids)]
    return sorted(left, key=lambda sweep: sweep.created_at, reverse=True)


def stop_sweep(sweep: Sweep, settings: Settings) -> None:
    """Ask all its runs that wait or train to stop."""
    for run in _list_runs(sweep, settings):
        if run.status in runs.ACTIVE:
            runs.stop_run(run.run_id, settings)


def compare_trials(sweep: Sweep, settings: Settings) -> list[Trial]:
    """What became of the runs of a sweep that were not deleted, the best by validation accuracy first.

    Raises ModelUnavailable when all were.
    """
    trials = [_judge(run, sweep, settings) for run in _list_runs(sweep, settings)]
    if not trials:
        raise ModelUnavailable(f"None of the runs of sweep {sweep.sweep_id} is left. Start a new one.")
    return sorted(trials, key=lambda trial: trial.accuracy, reverse=True)


def find_best(trials: Sequence[Trial]) -> Trial | None:
    """The one of the highest validation accuracy among those that made a model."""
    made = [trial for trial in trials if trial.run.status == "finished" and trial.right]
    return max(made, key=lambda trial: trial.accuracy, default=None)


def _judge(run: Run, sweep: Sweep, settings: Settings) -> Trial:
    accuracies = _accuracies(run.run_id, settings)
    right = None
    if accuracies:
        total = round(run.config.validation_fraction * count_images(run.config.dataset))
        right = total, round(total * accuracies[-1][1])
    test_accuracy = None
    if (model_folder(run.run_id, settings) / METADATA).exists():
        with contextlib.suppress(DigitError):
            test_accuracy = load_info(run.run_id, settings).test_accuracy
    values = {name: getattr(run.config, name) for name in sweep.varied}
    changes = read_changes(model_folder(run.run_id, settings))
    reason = changes[-1].message if changes and run.status in ("failed", "stopped") else ""
    return Trial(run, values, len(accuracies), right, test_accuracy, reason)


def _accuracies(run_id: str, settings: Settings) -> list[tuple[float, float]]:
    """When each epoch of a run was over, and its validation accuracy."""
    told = [event for event in read_epochs(model_folder(run_id, settings)) if "val_accuracy" in event.metrics]
    return [(event.time, min(1.0, event.metrics["val_accuracy"])) for event in told]


def stop_late(run: Run, settings: Settings) -> None:
    """Stop a run that waits where the time of its sweep is over."""
    if time.time() > _find_deadline(run, settings):
        runs.stop_run(run.run_id, settings, "The time of its sweep was over before its turn came.")


def _find_deadline(run: Run, settings: Settings) -> float:
    """Until when, in seconds since 1970, a run may train.

    Who resumed a run wants it to its end, which is then its own.
    """
    with contextlib.suppress(ModelUnavailable):
        sweep = load_sweep(run.sweep, settings)
        if sweep.time_s and not _was_resumed(run, settings):
            starts = [each.started_at for each in _list_runs(sweep, settings) if each.started_at]
            return min(starts).timestamp() + sweep.time_s if starts else math.inf
    return math.inf


def watch_trial(run: Run, settings: Settings) -> Callable[[TrainEvent], None]:
    """What is to be told of each event of a run: it stops the run when its sweep has no more time or use for it."""
    judging = bool(run.sweep) and not _was_resumed(run, settings)
    deadline, epochs = _find_deadline(run, settings), run.config.epochs

    def watch(event: TrainEvent) -> None:
        if event.kind not in ("batch", "epoch") or (event.kind == "epoch" and event.epoch == epochs):
            return
        if time.time() > deadline:
            runs.stop_run(run.run_id, settings, "The time of its sweep is over.")
        elif judging and event.kind == "epoch" and event.epoch >= _grace(epochs) and _lags(run, event.epoch, settings):
            words = f"After epoch {event.epoch} its validation accuracy lagged behind that of others of its sweep."
            runs.stop_run(run.run_id, settings, words)

    return watch


def _grace(epochs: int) -> int:
    return math.ceil(GRACE * epochs)


def _lags(run: Run, epoch: int, settings: Settings) -> bool:
    try:
        sweep = load_sweep(run.sweep, settings)
    except ModelUnavailable:
        return False
    if not sweep.prune:
        return False
    accuracies = {run_id: _accuracies(run_id, settings) for run_id in sweep.run_ids}
    if settings.ray_address:
        told = [(*each, run_id, n) for run_id, of_run in accuracies.items() for n, each in enumerate(of_run, 1)]
        in_time = [(run_id, n, accuracy) for _, accuracy, run_id, n in sorted(told)]
        return lags_by_asha(in_time, run.run_id, epoch, run.config.epochs, _grace(run.config.epochs))
    own = [accuracy for _, accuracy in accuracies.pop(run.run_id, [])][:epoch]
    return lags_by_median(own, [[accuracy for _, accuracy in of_run] for of_run in accuracies.values()])


def lags_by_median(own: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """Whether the best of a run's accuracies so far is below the median of others' means until the same epoch.

    The median stopping rule (Golovin et al. 2017). With fewer than three others that came as far, it is not.
    """
    if not own:
        return False
    rivals = [mean(each[: len(own)]) for each in others if len(each) >= len(own)]
    return len(rivals) >= LEAST_RIVALS and max(own) < median(rivals)


def _was_resumed(run: Run, settings: Settings) -> bool:
    return sum(event.kind == "queued" for event in read_changes(model_folder(run.run_id, settings))) > 1


def _list_runs(sweep: Sweep, settings: Settings) -> list[Run]:
    found = []
    for run_id in sweep.run_ids:
        with contextlib.suppress(ModelUnavailable):
            found.append(runs.load_run(run_id, settings))
    return found


def _path(sweep_id: str, settings: Settings) -> Path:
    return settings.models / SWEEPS / f"{sweep_id}.json"
