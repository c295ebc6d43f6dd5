"""Training runs: each a process of its own, its folder named by the id that its model will have.

The folder holds `config.json`, the diary `events.jsonl` (append-only, a TrainEvent a line), after the first epoch
`checkpoint.keras`, pictures to look at, after a fine-tuning `comparison.json` and `known.json`, what the process said
in `worker.log`, and the file `stop` while it is asked to stop. A process holds `run.lock` while it lives, so a run
without a final event whose lock is free is lost. Waiting runs form a queue (`run_queue`); whoever is first takes the
next free one of the turns.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from digit_core.architectures import check_tensorflow
from digit_core.arrays import load_arrays, write_arrays
from digit_core.datasets import check_validation, split_name
from digit_core.diary import append_event, read_changes
from digit_core.errors import DataUnavailable, DigitError, ModelUnavailable, StorageFailed, TrainingUnavailable
from digit_core.model_store import (
    CONFIG,
    METADATA,
    config_from_json,
    is_starter,
    load_info,
    model_folder,
    storing,
    to_json,
    write_file,
)
from digit_core.program import share_program
from digit_core.ray_cluster import check_ray, submit_run
from digit_core.settings import ROOT, Settings, to_environ
from digit_core.training import check_config
from digit_core.types import Comparison, EventKind, Pictures, Run, Status, TrainConfig, TrainEvent

ACTIVE = ("queued", "running")
FINAL = ("finished", "stopped", "failed")
START_UP = 60.0  # seconds that a new process has to take its lock, on a cluster or beside many others
STOP, REASON_BYTES = "stop", 500
QUEUE_LOCK = "queue.lock"
COMPARISON, KNOWN = "comparison.json", "known.json"
DELETED, KEPT = ".deleted", 10  # runs that can be brought back
RESERVE = "reserve"  # a file of so many bytes, given up so that a full disk still takes a run's last words
RESERVE_BYTES = 16_384
PROBE = 0.002  # seconds
PICTURE_BYTES = 1_000_000
MOST_OF_NAME = 40  # characters
MOST_ACTIVE, MOST_OF_ONE = 100, 30  # runs that wait or train, of all and of one visitor
PROBING = threading.Lock()


def create_run(
    config: TrainConfig,
    settings: Settings,
    run_id: str | None = None,
    name: str = "",
    owner: str = "",
    sweep: str = "",
) -> str:
    """Make the folder of a new run and return its id.

    Where none is given, the id is the first of `propose_ids`. owner: the visitor who wants it; of one visitor one run
    trains at a time. Raises InvalidConfig, DataUnavailable for a data set of no such name, ModelUnavailable when the id
    is taken or a teacher or base is missing, StorageFailed.
    """
    check_config(config)
    check_validation(config.dataset, config.validation_fraction)
    for needed in (config.teacher_id, config.base_model_id):
        if needed is not None and load_info(needed, settings).imported:
            raise ModelUnavailable(f"{needed} was imported: it can neither teach nor be taught. Choose another model.")
    for candidate in [run_id] if run_id else propose_ids(config, settings, name):
        folder = model_folder(candidate, settings)
        with storing(folder.parent):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
        try:
            write_file(folder / CONFIG, to_json(config))
            _enqueue(folder, owner, sweep)
        except StorageFailed:
            shutil.rmtree(folder, ignore_errors=True)  # or the id would be taken by nothing
            raise
        return candidate
    raise ModelUnavailable(f"There is a model or run {run_id or name!r} already. Choose another one.")


def propose_ids(config: TrainConfig, settings: Settings, name: str) -> Iterator[str]:
    """Ids that a run of that name may have: the name's, `Meine große 1` becomes `meine-grosse-1`, or numbers behind it.

    Other than Latin letters are left out; where nothing remains, it is the time of day. What can be brought back keeps
    its id.
    """
    first = to_id(name) or f"{config.architecture}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for proposed in (first, *(f"{first}-{number}" for number in range(2, 1000))):
        if is_free(proposed, settings):
            yield proposed


def is_free(run_id: str, settings: Settings) -> bool:
    """Whether no run has an id, nor one that can be brought back."""
    return not (model_folder(run_id, settings).exists() or (settings.models / DELETED / run_id).exists())


def to_id(name: str) -> str:
    """What of a name can be in an id; nothing, where it has no Latin letters or digits."""
    letters = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return re.sub("[^a-z0-9_]+", "-", letters).strip("-_")[:MOST_OF_NAME].rstrip("-_")


def start_run(config: TrainConfig, settings: Settings, name: str = "", owner: str = "") -> str:
    """Create a run, named if a name is given, start its process, here or on the cluster, and return its id at once.

    The process outlives this one. Raises what `create_run` raises, and TrainingUnavailable when it cannot be started or
    too many wait.
    """
    check_room(1, owner, settings)
    run_id = create_run(config, settings, name=name, owner=owner)
    try:
        launch(run_id, settings)
    except DigitError:
        discard(run_id, settings)
        raise
    return run_id


def check_room(count: int, owner: str, settings: Settings) -> None:
    """Raise TrainingUnavailable where so many more runs would be too many for one visitor, or for the queue.

    Each that waits is a process.
    """
    active = [run for run in list_runs(settings) if run.status in ACTIVE]
    own = sum(run.owner == owner for run in active) if owner else 0
    if own + count > MOST_OF_ONE or len(active) + count > MOST_ACTIVE:
        raise TrainingUnavailable(
            f"{len(active)} runs wait or train already, {own} of them yours; at most {MOST_ACTIVE} may, {MOST_OF_ONE} "
            "of one visitor. Wait until some are over, or stop some."
        )


def discard(run_id: str, settings: Settings) -> None:
    """Take away a run that could not be started, or it would wait for nothing."""
    shutil.rmtree(model_folder(run_id, settings), ignore_errors=True)


def resume_run(run_id: str, settings: Settings) -> None:
    """Start a process that goes on with a run after its last whole epoch.

    Raises ModelUnavailable when it is under way or finished, StorageFailed, TrainingUnavailable.
    """
    requeue(run_id, settings)
    try:
        launch(run_id, settings)
    except DigitError as error:
        with contextlib.suppress(StorageFailed):
            tell_end(model_folder(run_id, settings), "failed", str(error))
        raise


def requeue(run_id: str, settings: Settings) -> None:
    """Put a run that was stopped, failed or lost at the end of the queue again. Raises what `resume_run` raises."""
    load_run(run_id, settings)  # or the lock would make a folder of any name
    folder = model_folder(run_id, settings)
    with storing(folder), FileLock(folder / QUEUE_LOCK):  # of two who resume it at once one does
        run = load_run(run_id, settings)
        if run.status in ACTIVE:
            raise ModelUnavailable(
                f"Run {run_id} is {run.status}: it needs no second start. Watch it, or stop it first."
            )
        if run.status == "finished":
            raise ModelUnavailable(f"Run {run_id} has finished. Start a new one.")
        (folder / STOP).unlink(missing_ok=True)
        _enqueue(folder, run.owner, run.sweep)


def _enqueue(folder: Path, owner: str, sweep: str) -> None:
    write_file(folder / RESERVE, bytes(RESERVE_BYTES))
    append_event(folder, TrainEvent("queued", time.time(), owner=owner, sweep=sweep))


def tell_end(folder: Path, kind: EventKind, message: str = "") -> None:
    """Write a run's last words into its diary, for which the reserve makes room. Raises StorageFailed."""
    (folder / RESERVE).unlink(missing_ok=True)
    if folder.is_dir():  # it may have been deleted
        append_event(folder, TrainEvent(kind, time.time(), message=message))


def stop_run(run_id: str, settings: Settings, reason: str = "") -> None:
    """Ask a run to stop, and tell why; it does within a second, or some more where a single batch takes longer."""
    write_file(model_folder(run_id, settings) / STOP, reason.encode())


def read_reason(folder: Path) -> str:
    """Why a run was asked to stop: nothing, where a person did."""
    try:
        return (folder / STOP).read_bytes()[:REASON_BYTES].decode(errors="replace")
    except OSError:
        return ""


def is_stopping(run_id: str, settings: Settings) -> bool:
    """Whether a run was asked to stop."""
    return (model_folder(run_id, settings) / STOP).exists()


def check_deletable(run_id: str, settings: Settings) -> None:
    """Raise ModelUnavailable for a starter, for a run under way, and where there is neither run nor model."""
    if is_starter(run_id):
        raise ModelUnavailable(f"{run_id} is a starter model, which stays. Choose another one.")
    is_model = (model_folder(run_id, settings) / METADATA).exists()  # an imported one was never a run
    if not is_model and load_run(run_id, settings).status in ACTIVE:
        raise ModelUnavailable(f"Run {run_id} is under way. Stop it first.")


def delete_run(run_id: str, settings: Settings) -> None:
    """Take a run, and its model if it made one, away; `restore_run` brings back the last ones that were deleted.

    Raises what `check_deletable` raises, StorageFailed.
    """
    check_deletable(run_id, settings)
    folder, deleted = model_folder(run_id, settings), settings.models / DELETED
    with storing(settings.models):
        deleted.mkdir(exist_ok=True)
        shutil.rmtree(deleted / run_id, ignore_errors=True)
        folder.replace(deleted / run_id)
        os.utime(deleted / run_id)
        *older, _ = sorted(deleted.iterdir(), key=lambda each: each.stat().st_mtime)
    for each in older[: max(0, len(older) + 1 - KEPT)]:
        shutil.rmtree(each, ignore_errors=True)


def restore_run(run_id: str, settings: Settings) -> None:
    """Bring a deleted run back. Raises ModelUnavailable when many were deleted since, StorageFailed."""
    folder, deleted = model_folder(run_id, settings), settings.models / DELETED / run_id
    if folder.exists() or not deleted.is_dir():
        raise ModelUnavailable(f"Run {run_id} cannot be brought back: many were deleted since, or one has its name.")
    with storing(settings.models):
        deleted.replace(folder)


def list_deleted(settings: Settings) -> list[str]:
    """The ids of the runs that can be brought back."""
    return sorted(path.name for path in (settings.models / DELETED).glob("*"))


def load_run(run_id: str, settings: Settings) -> Run:
    """Read a run from its folder. Raises ModelUnavailable when there is none, or its settings cannot be read."""
    folder = model_folder(run_id, settings)
    try:
        config = config_from_json(json.loads((folder / CONFIG).read_bytes()))
        check_config(config)
        split_name(config.dataset)
    except FileNotFoundError:
        raise ModelUnavailable(
            f"There is no run {run_id!r}. `python -m digit_core models list` names the models."
        ) from None
    except (OSError, ValueError, TypeError, OverflowError, RecursionError, DigitError):
        raise ModelUnavailable(f"The settings of run {run_id!r} cannot be read. Delete its folder {folder}.") from None
    events = read_changes(folder)
    place = max((place for place, event in enumerate(events) if event.kind == "queued"), default=0)
    of_last_start = {event.kind: event.time for event in reversed(events[place:])}
    ended = events[-1].time if events and events[-1].kind in FINAL else None
    queued = events[place] if events else TrainEvent("queued", 0.0)
    return Run(
        run_id,
        config,
        _status(
            folder,
            events[-1] if events else None,
        ),
        queued_at=_utc(of_last_start.get("queued")),
        started_at=_utc(of_last_start.get("started")),
        ended_at=_utc(ended),
        elapsed_s=max((event.elapsed_s for event in events), default=0.0),
        owner=queued.owner,
        sweep=queued.sweep,
    )


def list_runs(settings: Settings) -> list[Run]:
    """Return the runs, newest first; the starter models are none. Folders that cannot be read are left out."""
    runs = []
    if settings.models.is_dir():
        for path in settings.models.glob("*/config.json"):
            if not is_starter(path.parent.name):
                try:
                    runs.append((path.stat().st_mtime, load_run(path.parent.name, settings)))
                except (DigitError, OSError):
                    continue
    return [run for _, run in sorted(runs, key=lambda item: item[0], reverse=True)]


def save_pictures(folder: Path, name: str, pictures: Pictures) -> None:
    """Write pictures as an `.npz` file of a run. Raises StorageFailed."""
    write_arrays(folder / f"{name}.npz", dataclasses.asdict(pictures))


def save_comparisons(folder: Path, comparisons: Sequence[Comparison], counts: dict[str, int]) -> None:
    """Write how a run's model and its base read the same images, and of how many entries it learned what."""
    sets = [dataclasses.asdict(each) for each in comparisons]
    write_file(folder / COMPARISON, to_json({"sets": sets, **counts}))


def load_comparisons(run_id: str, settings: Settings) -> tuple[list[Comparison], dict[str, int]] | None:
    """Read what `save_comparisons` wrote; None where a run has none, or it cannot be read."""
    try:
        values = json.loads((model_folder(run_id, settings) / COMPARISON).read_bytes())
        sets = [Comparison(**each | {"by_digit": tuple(map(tuple, each["by_digit"]))}) for each in values.pop("sets")]
        counts = {name: int(values[name]) for name in ("learned", "confirmed", "held_out")}
        return (sets, counts) if sets and all(each.total > 0 for each in sets) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def save_known(folder: Path, digests: Iterable[str]) -> None:
    """Write the digests of the images, people's, that a run's model and its bases have learned."""
    write_file(folder / KNOWN, to_json(sorted(digests)))


def load_known(run_id: str, settings: Settings) -> set[str]:
    """Read what `save_known` wrote; nothing where a run has none, or it cannot be read."""
    try:
        return set(map(str, json.loads((model_folder(run_id, settings) / KNOWN).read_bytes())))
    except (OSError, ValueError, TypeError):
        return set()


def load_pictures(run_id: str, name: str, settings: Settings) -> Pictures | None:
    """Read `sample`, `mistakes`, `taught` or `lost` of a run; None where it has none, or they cannot be read."""
    names = tuple(field.name for field in dataclasses.fields(Pictures))
    try:
        arrays = load_arrays(model_folder(run_id, settings) / f"{name}.npz", names, PICTURE_BYTES, "")
    except DataUnavailable:
        return None
    images, *digits = (arrays[name] for name in names)
    count = len(images) if images.ndim else 0
    sound = images.shape == (count, 28, 28) and images.dtype == np.uint8
    sound &= all(each.shape == (count,) and np.issubdtype(each.dtype, np.integer) for each in digits)
    return Pictures(**arrays) if sound else None


def check_launcher(settings: Settings) -> None:
    """Raise TrainingUnavailable where nothing can be trained: TensorFlow, or Ray where a cluster trains, is missing."""
    if settings.ray_address:
        check_ray()
    else:
        check_tensorflow()


def launch(run_id: str, settings: Settings) -> None:
    """Start the process of a run that waits, here or on the cluster. Raises TrainingUnavailable, StorageFailed."""
    if not settings.ray_address:
        _start_process(run_id, settings)
        return
    environ, program = to_environ(settings), share_program(settings)
    config = load_run(run_id, settings).config
    if not config.base_model_id and "feedback" not in config.dataset.split("+"):
        environ["DIGIT_LAB_DATABASE_URL"] = ""  # it may hold a password, and who sees the cluster sees its jobs
    on_failure = partial(_tell_unstarted, run_id, settings)
    submit_run(model_folder(run_id, settings), settings.ray_address, program, environ, on_failure)


def _tell_unstarted(run_id: str, settings: Settings, problem: str) -> None:
    folder = model_folder(run_id, settings)
    events = read_changes(folder)
    with contextlib.suppress(StorageFailed):
        if events and events[-1].kind == "queued" and not _is_held(folder / "run.lock"):  # another one may have begun
            tell_end(model_folder(run_id, settings), "failed", problem)


def _start_process(run_id: str, settings: Settings) -> None:
    folder = model_folder(run_id, settings)
    command = [sys.executable, "-m", "digit_core", "train", "--resume", run_id, "--queued"]
    with storing(folder):
        log = (folder / "worker.log").open("ab")
    with log:
        try:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | to_environ(settings),
                creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),  # Windows' own
                start_new_session=True,
            )
        except OSError as error:
            raise TrainingUnavailable(
                f"The training could not be started: {error.strerror}. Close other programs, and try again."
            ) from error
    threading.Thread(target=_attend, args=[process, run_id, settings], daemon=True).start()


def _attend(process: subprocess.Popen[bytes], run_id: str, settings: Settings) -> None:
    """Wait for a process, or it would stay a zombie, and tell if it ended before its run began."""
    code = process.wait()
    if code:
        _tell_unstarted(run_id, settings, "Its process ended as soon as it was started.")


def _status(folder: Path, last: TrainEvent | None) -> Status:
    if last and last.kind in FINAL:
        return last.kind  # type: ignore[return-value]
    if (folder / METADATA).exists():
        return "finished"  # a model whose diary did not travel with it
    waits = last is not None and last.kind == "queued"
    starting = last is not None and waits and 0 <= time.time() - last.time < START_UP
    if not (starting or _is_held(folder / "run.lock")):
        return "lost"
    return "queued" if waits else "running"


def _is_held(path: Path) -> bool:
    """Whether a process holds a lock. Asked for a moment: another that asks at the same time is not taken for it."""
    try:
        with PROBING, FileLock(path, timeout=2 * PROBE, poll_interval=PROBE):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that cannot be written: nothing runs in it
        return False


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
