"""Training runs: each a process of its own, its folder named by the id that its model will have.

The folder holds `config.json`, the diary `events.jsonl` (append-only, a TrainEvent a line), what the process said in
`worker.log`, and the file `stop` once it was asked to. A process holds `run.lock` while it lives, so a run without a
final event whose lock is free is lost; it trains only while it holds `queue.lock`, so runs wait for each other.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from digit_core.augmentation import augment
from digit_core.classifier import Network
from digit_core.datasets import load_dataset
from digit_core.errors import DigitError, ModelUnavailable, StorageFailed
from digit_core.evaluation import calibrate, evaluate, fit_calibration
from digit_core.model_store import (
    METADATA,
    STARTER_IDS,
    config_from_json,
    model_folder,
    save_model,
    save_network,
    storing,
    to_json,
    write_file,
)
from digit_core.settings import ROOT, Settings, to_environ
from digit_core.training import check_config, split_validation, train
from digit_core.types import Dataset, ModelInfo, Run, Status, TrainConfig, TrainEvent

FINAL = ("finished", "stopped", "failed")
STEPS = ("batch", "epoch")
LATEST = 1e11  # seconds since 1970 that a date can hold
START_UP = 15.0  # seconds that a new process has to take its lock
LOCK_WAIT = 5.0  # seconds
PROBING = threading.Lock()


class Stopped(Exception):
    """The run was asked to stop."""


def create_run(config: TrainConfig, settings: Settings, run_id: str | None = None) -> str:
    """Make the folder of a new run and return its id, chosen by the time of day if none is given.

    Raises InvalidConfig, ModelUnavailable when the id is taken, StorageFailed.
    """
    check_config(config)
    name = run_id or f"{config.architecture}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    candidates = [name] if run_id else [name, *(f"{name}-{number}" for number in range(2, 100))]
    for candidate in candidates:
        folder = model_folder(candidate, settings)
        with storing(folder.parent):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
        try:
            write_file(folder / "config.json", to_json(config))
            _append(folder, TrainEvent("queued", time.time()))
        except StorageFailed:
            shutil.rmtree(folder, ignore_errors=True)  # or the id would be taken by nothing
            raise
        return candidate
    raise ModelUnavailable(f"There is a model or run {name!r} already. Choose another id.")


def start_run(config: TrainConfig, settings: Settings) -> str:
    """Create a run, start its process, and return its id at once.

    The process outlives this one. Raises what `create_run` raises.
    """
    run_id = create_run(config, settings)
    folder = model_folder(run_id, settings)
    command = [sys.executable, "-m", "digit_core", "train", "--resume", run_id]
    with storing(folder), (folder / "worker.log").open("ab") as log:
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
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay a zombie
    return run_id


def execute_run(run_id: str, settings: Settings, on_event: Callable[[TrainEvent], None]) -> ModelInfo | None:
    """Wait for the turn of a created run, train, and store its model; None if it was stopped.

    Every event goes to the diary and to `on_event`. Raises ModelUnavailable when the run is unknown, under way or
    over, and any DigitError that training meets, which the diary keeps as a `failed` event.
    """
    folder = model_folder(run_id, settings)
    config = load_run(run_id, settings).config

    def tell(event: TrainEvent) -> None:
        _append(folder, event)
        on_event(event)

    try:
        lock = FileLock(folder / "run.lock").acquire(timeout=LOCK_WAIT)
    except Timeout:
        raise ModelUnavailable(f"Run {run_id} is under way in another process. Watch it, or stop it first.") from None
    with lock:
        if (status := load_run(run_id, settings).status) in FINAL:
            raise ModelUnavailable(f"Run {run_id} has {status}. Start a new one.")
        try:
            info = _train_in_turn(folder, config, settings, tell)
        except Stopped:
            info = None
        except DigitError as error:
            tell(TrainEvent("failed", time.time(), message=str(error)))
            raise
        except KeyboardInterrupt:
            tell(TrainEvent("stopped", time.time(), message="Interrupted at the keyboard."))
            raise
        except Exception as error:
            tell(TrainEvent("failed", time.time(), message=f"A fault in the program: {error!r}. See worker.log."))
            raise
        if info is None:
            tell(TrainEvent("stopped", time.time()))
        return info


def stop_run(run_id: str, settings: Settings) -> None:
    """Ask a run to stop; it does within a second once it trains."""
    write_file(model_folder(run_id, settings) / "stop", b"")


def load_run(run_id: str, settings: Settings) -> Run:
    """Read a run from its folder. Raises ModelUnavailable when there is none, or its settings cannot be read."""
    folder = model_folder(run_id, settings)
    try:
        config = config_from_json(json.loads((folder / "config.json").read_bytes()))
    except FileNotFoundError:
        raise ModelUnavailable(
            f"There is no run {run_id!r}. `python -m digit_core models list` names the models."
        ) from None
    except (OSError, ValueError, TypeError, RecursionError):
        raise ModelUnavailable(f"The settings of run {run_id!r} cannot be read. Delete its folder {folder}.") from None
    lines = _read_diary(folder)
    events = _parse(lines[:4] + lines[-4:])  # the ends tell the status
    started = next((event.time for event in events if event.kind == "started"), None)
    ended = events[-1].time if events and events[-1].kind in FINAL else None
    return Run(run_id, config, _status(folder, events), _utc(started), _utc(ended))


def list_runs(settings: Settings) -> list[Run]:
    """Return the runs, newest first; the starter models are none. Folders that cannot be read are left out."""
    runs = []
    if settings.models.is_dir():
        for path in settings.models.glob("*/config.json"):
            if path.parent.name not in STARTER_IDS:
                try:
                    runs.append((path.stat().st_mtime, load_run(path.parent.name, settings)))
                except (DigitError, OSError):
                    continue
    return [run for _, run in sorted(runs, key=lambda item: item[0], reverse=True)]


def read_events(run_id: str, settings: Settings) -> list[TrainEvent]:
    """Read a run's diary; a last line that was cut short is left out."""
    return _parse(_read_diary(model_folder(run_id, settings)))


def _read_diary(folder: Path) -> list[bytes]:
    try:
        return (folder / "events.jsonl").read_bytes().splitlines()
    except OSError:
        return []


def _parse(lines: list[bytes]) -> list[TrainEvent]:
    events = []
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, RecursionError):  # a line that was cut short, or damaged
            event = TrainEvent(**json.loads(line))
            timed = 0 < event.time < LATEST and event.epoch >= 0 and isinstance(event.metrics, dict)
            if timed and (event.batches_per_epoch > 0 or event.kind not in STEPS):
                events.append(event)
    return events


def _train_in_turn(
    folder: Path, config: TrainConfig, settings: Settings, tell: Callable[[TrainEvent], None]
) -> ModelInfo | None:
    queue = FileLock(settings.models / "queue.lock")
    while not (folder / "stop").exists():
        try:
            turn = queue.acquire(timeout=0.5)
        except Timeout:
            continue
        with turn:
            tell(TrainEvent("started", time.time()))  # TensorFlow's import comes next, and takes seconds
            return _train(folder, config, settings, tell)
    return None


def _train(
    folder: Path, config: TrainConfig, settings: Settings, tell: Callable[[TrainEvent], None]
) -> ModelInfo | None:
    stop = folder / "stop"

    def report(share: float) -> None:
        if stop.exists():
            raise Stopped
        tell(TrainEvent("started", time.time(), message=f"Downloading MNIST: {share:.0%}"))

    dataset = load_dataset(config.dataset, settings, report)
    metrics: dict[str, float] = {}

    def listen(event: TrainEvent) -> None:
        metrics.update(event.metrics)
        tell(event)

    network = train(config, dataset, listen, stop.exists)
    if stop.exists():
        return None
    save_network(network, folder)
    info = _store(folder, config, dataset, network.count_params(), metrics)
    message = f"{100 * info.test_accuracy:.2f} % of {len(dataset.y_test):,} test images"
    tell(TrainEvent("finished", time.time(), metrics=metrics, message=message))
    return info


def _store(
    folder: Path, config: TrainConfig, dataset: Dataset, parameters: int, metrics: dict[str, float]
) -> ModelInfo:
    """Calibrate and evaluate what will be served, not what was trained, and complete the model.

    Calibration wants images as varied as people's drawings: the validation images, augmented.
    """
    served = Network((folder / "model.tflite").read_bytes())
    _, _, x_validation, y_validation = split_validation(dataset, config.validation_fraction)
    varied = augment(x_validation, np.random.default_rng(config.seed))
    calibration = fit_calibration(y_validation, served.probabilities(varied))
    evaluation = evaluate(dataset.y_test, calibrate(served.probabilities(dataset.x_test), calibration))
    return save_model(folder, config, parameters, metrics, evaluation, calibration)


def _status(folder: Path, events: list[TrainEvent]) -> Status:
    if events and events[-1].kind in FINAL:
        return events[-1].kind  # type: ignore[return-value]
    if (folder / METADATA).exists():
        return "finished"  # a model whose diary did not travel with it
    alive = _is_held(folder / "run.lock") or time.time() - (events[0].time if events else 0) < START_UP
    if not alive:
        return "lost"
    return "running" if any(event.kind == "started" for event in events) else "queued"


def _is_held(path: Path) -> bool:
    try:
        with PROBING, FileLock(path, timeout=0):  # two probes at once would take each other for the run
            return False
    except Timeout:
        return True


def _append(folder: Path, event: TrainEvent) -> None:
    line = json.dumps(dataclasses.asdict(event)) + "\n"
    with storing(folder), (folder / "events.jsonl").open("a", encoding="utf-8") as diary:
        diary.write(line)


def _utc(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
