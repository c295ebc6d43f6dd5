"""A run's diary: `events.jsonl`, append-only, a TrainEvent a line."""

import contextlib
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from digit_core.model_store import storing
from digit_core.types import EventKind, TrainEvent

DIARY = "events.jsonl"
STEPS = ("batch", "epoch")
BATCH, EPOCH = (f'{{"kind": "{kind}"'.encode() for kind in STEPS)  # how their lines begin
DEFAULTS = {name: value for name, value in vars(TrainEvent("queued", 0.0)).items() if name not in ("kind", "time")}
LATEST = 1e11  # seconds since 1970 that a date can hold; no count, time or metric is as large
MAX_MESSAGE = 10_000  # characters
MAX_NAME = 100  # characters
DAMAGE = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)  # of a line, or it was cut short
MAX_BATCH_EVENTS = 250  # read of one diary: as many as a chart can show, and a browser draws in no time


def append_event(folder: Path, event: TrainEvent) -> None:
    """Write an event at the end of a run's diary. Raises StorageFailed."""
    told = {name: value for name, value in vars(event).items() if value != DEFAULTS.get(name)}
    line = json.dumps(told).encode() + b"\n"
    with storing(folder), (folder / DIARY).open("ab+") as diary:
        if diary.seek(0, 2) and diary.seek(-1, 2) and diary.read() != b"\n":
            line = b"\n" + line  # a process or a disk came to its end in mid-line
        diary.write(line)


def read_events(folder: Path) -> list[TrainEvent]:
    """Read a diary: of very many batch events only some, and of a stretch that was done again the last time.

    A line that was cut short or damaged is left out.
    """
    lines = _read_lines(folder)
    batches = [number for number, line in enumerate(lines) if line.startswith(BATCH)]
    left_out = set(batches) - set(batches[:: 1 + len(batches) // MAX_BATCH_EVENTS]) - set(batches[-1:])
    events: list[TrainEvent] = []
    resumed = False
    for event in _parse([line for number, line in enumerate(lines) if number not in left_out]):
        if resumed and event.kind in STEPS:
            here = (event.epoch, event.batch)
            events = [each for each in events if each.kind not in STEPS or (each.epoch, each.batch) < here]
        resumed = event.kind == "queued" or (resumed and event.kind not in STEPS)
        events.append(event)
    return events


def read_changes(folder: Path) -> Sequence[TrainEvent]:
    """Read a diary without its batches and epochs, but for the last of them."""
    return _read_once(folder, _parse_changes)


def read_epochs(folder: Path) -> Sequence[TrainEvent]:
    """Read the `epoch` events of a diary: of what was done again, the last time."""
    return _read_once(folder, _parse_epochs)


def _read_once(folder: Path, parse: Callable[[list[bytes]], list[TrainEvent]]) -> Sequence[TrainEvent]:
    """Read a diary if it has changed since it was read last: most are of runs that are over, and change no more."""
    try:
        state = (folder / DIARY).stat()
    except OSError:
        return ()
    return _parse_state(folder, parse, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=2000)
def _parse_state(
    folder: Path, parse: Callable[[list[bytes]], list[TrainEvent]], modified: int, size: int
) -> Sequence[TrainEvent]:
    return tuple(parse(_read_lines(folder)))


def _parse_changes(lines: list[bytes]) -> list[TrainEvent]:
    steps = [number for number, line in enumerate(lines) if line.startswith((BATCH, EPOCH))]
    left_out = set(steps[:-2])  # the last may be cut short
    return _parse([line for number, line in enumerate(lines) if number not in left_out])


def _parse_epochs(lines: list[bytes]) -> list[TrainEvent]:
    epochs: list[TrainEvent] = []
    for event in _parse([line for line in lines if line.startswith(EPOCH)]):
        epochs = [*(each for each in epochs if each.epoch < event.epoch), event]
    return epochs


def _read_lines(folder: Path) -> list[bytes]:
    try:
        return (folder / DIARY).read_bytes().splitlines()
    except OSError:
        return []


def _parse(lines: list[bytes]) -> list[TrainEvent]:
    events = []
    for line in lines:
        with contextlib.suppress(*DAMAGE):
            values = json.loads(line)
            event = TrainEvent(**values | {"answers": tuple(values.get("answers", ()))})
            if _is_sound(event):
                events.append(event)
    return events


def _is_sound(event: TrainEvent) -> bool:
    """Whether every value is of its kind and in its range, whoever wrote the line."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST

    first = 1 if event.kind in STEPS else 0
    counts = (event.epoch, event.batch, event.batches_per_epoch)
    return (
        event.kind in get_args(EventKind)
        and is_number(event.time)
        and event.time > 0
        and all(is_number(count) and isinstance(count, int) for count in counts)
        and first <= min(counts)
        and isinstance(event.metrics, dict)
        and all(is_number(value) for value in event.metrics.values())
        and is_number(event.elapsed_s)
        and (event.eta_s is None or is_number(event.eta_s))
        and all(isinstance(answer, int) and 0 <= answer <= 9 for answer in event.answers)
        and isinstance(event.message, str)
        and len(event.message) <= MAX_MESSAGE
        and (event.share is None or (is_number(event.share) and event.share <= 1))
        and all(isinstance(name, str) and len(name) <= MAX_NAME for name in (event.owner, event.sweep))
    )
