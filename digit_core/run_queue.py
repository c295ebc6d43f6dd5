"""The queue of runs: whose turn is next, and in how long a turn will come.

Of each visitor one run trains at a time, and of a sweep, where nobody else waits, as many as there is room for. The
order is that of arrival, where a visitor's next run counts as arriving when the one before has ended.
"""

import heapq
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from digit_core.diary import read_changes
from digit_core.model_store import model_folder
from digit_core.presets import forecast, measure_pace
from digit_core.runs import list_runs
from digit_core.settings import Settings
from digit_core.types import Run


class Place(NamedTuple):
    """Where a run stands in the queue, from 1 on, of how many, and about how many seconds until it starts.

    behind_own: whether it waits for another run of the same visitor, too.
    """

    number: int
    of: int
    seconds: float
    behind_own: bool


def find_queue(settings: Settings) -> list[str]:
    """The ids of the runs that wait for their turn, the next one first."""
    return [run.run_id for run in _order(list_runs(settings))]


def count_before(run_id: str, settings: Settings) -> int:
    """How many runs must start, or end, before one that waits may start."""
    runs = list_runs(settings)
    waiting = [run.run_id for run in _order(runs)]
    running = [run for run in runs if run.status == "running"]
    blocked = any(_is_blocked(run, running) for run in runs if run.run_id == run_id)
    return waiting.index(run_id) + blocked if run_id in waiting else len(waiting) + 1


def find_places(settings: Settings) -> dict[str, Place]:
    """Where each waiting run stands. Raises InvalidConfig, DataUnavailable, as `forecast`.

    How many a cluster has room for only the cluster knows: it is taken for full with those that train.
    """
    runs = list_runs(settings)
    pace, waiting = measure_pace(runs), _order(runs)
    running = [run for run in runs if run.status == "running"]
    left = {run.run_id: _foresee_end(run, settings, pace) for run in running}
    free = 0 if settings.ray_address else settings.parallel_runs - len(running)
    ends = [*left.values(), *[0.0] * free] or [0.0]
    heapq.heapify(ends)
    before = [(run, left[run.run_id]) for run in running]
    places = {}
    for number, run in enumerate(waiting, 1):
        own_end = max((end for other, end in before if _are_rivals(run, other)), default=0.0)
        start = max(heapq.heappop(ends), own_end)
        places[run.run_id] = Place(number, len(waiting), start, own_end > 0)
        before.append((run, start + sum(forecast(run.config, settings, pace))))
        heapq.heappush(ends, before[-1][1])
    return places


def _order(runs: Sequence[Run]) -> list[Run]:
    running = [run for run in runs if run.status == "running"]
    waiting = [run for run in runs if run.status == "queued" and run.queued_at]
    earlier = Counter(run.owner for run in running)
    served = _find_served(runs)
    keys = {}
    for run in sorted(waiting, key=lambda run: (run.queued_at, run.run_id)):
        arrival = max(filter(None, (run.queued_at, served.get(run.owner))))
        keys[run.run_id] = _is_blocked(run, running), earlier[run.owner] if run.owner else 0, arrival, run.run_id
        earlier[run.owner] += 1
    return sorted(waiting, key=lambda run: keys[run.run_id])


def _find_served(runs: Sequence[Run]) -> dict[str, datetime]:
    """When the last turn of each visitor was over, or began."""
    served: dict[str, datetime] = {}
    for run in runs:
        last = run.started_at and (run.ended_at or run.started_at)
        if run.owner and last:
            served[run.owner] = max(last, served.get(run.owner, last))
    return served


def _is_blocked(run: Run, running: Sequence[Run]) -> bool:
    return any(_are_rivals(run, other) for other in running)


def _are_rivals(run: Run, other: Run) -> bool:
    """Whether two runs do not train at a time: both are one visitor's, and not of the same sweep."""
    return bool(run.owner) and run.owner == other.owner and not (run.sweep and run.sweep == other.sweep)


def _foresee_end(run: Run, settings: Settings, pace: float) -> float:
    """About how many seconds a run that trains will go on."""
    events = read_changes(model_folder(run.run_id, settings))
    last = next((event for event in reversed(events) if event.eta_s is not None), None)
    if last is None or last.eta_s is None:
        return sum(forecast(run.config, settings, pace))
    return max(0.0, last.eta_s - max(0.0, time.time() - last.time))
