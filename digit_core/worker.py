"""What the process of a run does: wait for its turn, train, and store the model."""

import _thread
import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from digit_core import runs
from digit_core.architectures import build_network, check_tensorflow, choose_precision, make_reader
from digit_core.bank import load_bank
from digit_core.classifier import Network
from digit_core.datasets import load_dataset, part_validation
from digit_core.diary import append_event
from digit_core.digit_score import learn_digit_score
from digit_core.errors import DigitError, ModelUnavailable, StorageFailed, TrainingUnavailable
from digit_core.learning import Lessons, compare, load_lessons
from digit_core.measuring import measure
from digit_core.model_store import (
    CHECKPOINT,
    METADATA,
    NETWORK_FILES,
    load_checkpoint,
    load_info,
    load_network,
    model_folder,
    read_model_file,
    save_checkpoint,
    save_model,
    save_network,
    storing,
)
from digit_core.presets import Forecast, forecast, measure_pace
from digit_core.ray_cluster import name_machine, train_on_cluster
from digit_core.run_queue import count_before
from digit_core.settings import Settings
from digit_core.sweeps import stop_late, watch_trial
from digit_core.training import SAMPLE, split_validation, to_input, train
from digit_core.types import Checkpoint, Dataset, Evaluation, ModelInfo, Pictures, TrainConfig, TrainEvent, name_of

TRAINING_LOCK = "training.lock"
LOCK_WAIT = 5.0  # seconds
LEASE = 180.0  # seconds until a file server surely gives back what a lost machine had locked
POLL, LONGEST_POLL = 0.3, 3.0  # seconds between two looks at the queue, for who is next and for who is far behind
STOP_POLL, STOP_GRACE = 0.1, 0.4  # seconds between two looks at `stop`, and until what goes on is interrupted
GIVE_UP = 5.0  # seconds until a process that no interruption reaches, in a batch of minutes, ends itself
CHUNK = 1_000  # images that a teacher reads at once
SHARE_INTERVAL = 1.0  # seconds between two words of how far something is


def execute_run(run_id: str, settings: Settings, on_event: Callable[[TrainEvent], None]) -> ModelInfo | None:
    """Wait for the turn of a queued run, train from its last checkpoint or from the start, and store its model.

    Every event goes to the diary and to `on_event`. Returns None if the run was stopped. In the main thread a stop also
    interrupts what does not look for it, and after some seconds ends the process.
    Raises ModelUnavailable when it is unknown, under way or over, and any DigitError that training meets, which the
    diary keeps as a `failed` event.
    """
    runs.load_run(run_id, settings)  # or the lock would make a folder of any name
    folder = model_folder(run_id, settings)
    try:
        lock = _lock(folder)
    except StorageFailed as error:
        runs.tell_end(folder, "failed", str(error))
        raise
    with lock:
        if (status := runs.load_run(run_id, settings).status) != "queued":
            raise ModelUnavailable(f"Run {run_id} is {status}: it does not wait for its turn. Resume it first.")
        return _execute(folder, settings, on_event)


def _lock(folder: Path) -> contextlib.AbstractContextManager[object]:
    with storing(folder):
        try:
            return FileLock(folder / "run.lock").acquire(timeout=LOCK_WAIT)
        except Timeout:
            raise ModelUnavailable(
                f"Run {folder.name} is under way in another process. Watch it, or stop it first."
            ) from None


def _execute(folder: Path, settings: Settings, on_event: Callable[[TrainEvent], None]) -> ModelInfo | None:
    """Do the run whose lock is held, and see to it that the diary tells its end."""

    def tell(event: TrainEvent) -> None:
        append_event(folder, event)
        with storing(folder):  # what is printed goes to a file, too
            on_event(event)

    def tell_stop() -> None:
        reason = runs.read_reason(folder)
        runs.tell_end(folder, "stopped", reason)
        on_event(TrainEvent("stopped", time.time(), message=reason))

    try:
        _clear_up(folder)
        runs.check_launcher(settings)
        with _turn(folder, settings) as has_turn:
            if has_turn and settings.ray_address:
                info = _train_on_cluster(folder, settings)
            else:
                info = _train(folder, settings, tell, tell_stop) if has_turn else None
    except DigitError as error:
        (folder / METADATA).unlink(missing_ok=True)  # what has failed is no model
        runs.tell_end(folder, "failed", str(error))
        raise
    except (KeyboardInterrupt, BrokenPipeError) as error:
        if (folder / METADATA).exists():  # it is stored and told: only who listens has gone
            _clear_away(folder)
            raise
        if (folder / runs.STOP).exists():
            info = None
        else:
            runs.tell_end(
                folder, "stopped", "Interrupted." if isinstance(error, KeyboardInterrupt) else "Its output was closed."
            )
            raise
    except Exception as error:
        runs.tell_end(folder, "failed", f"A fault in the program: {error!r}. See worker.log.")
        raise
    if info is None:
        tell_stop()
        return None
    _clear_away(folder)
    return info


def _clear_away(folder: Path) -> None:
    """Remove what a run that has made its model needs no more."""
    for name in (CHECKPOINT, runs.RESERVE, runs.STOP, runs.QUEUE_LOCK, TRAINING_LOCK):
        (folder / name).unlink(missing_ok=True)


def _clear_up(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote."""
    for leftover in [*folder.glob("checkpoint-*"), *folder.glob("export-*")]:
        shutil.rmtree(leftover, ignore_errors=True)
    for leftover in folder.glob("*.partial-*"):
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def _turn(folder: Path, settings: Settings) -> Iterator[bool]:
    """Wait until the run is the first of the queue and hold one of the turns, of which a cluster has as many as there
    is room for; False if it was asked to stop.
    """
    next_look = 0.0
    with contextlib.ExitStack() as held:
        while not (folder / runs.STOP).exists():
            if time.monotonic() >= next_look:
                run = runs.load_run(folder.name, settings)  # what nobody can read would never be first
                stop_late(run, settings)
                before = count_before(folder.name, settings)
                if not before and (settings.ray_address or _take_turn(settings, held)):
                    yield True
                    return
                next_look = time.monotonic() + min(POLL * before, LONGEST_POLL)
            time.sleep(POLL)
        yield False


def _take_turn(settings: Settings, held: contextlib.ExitStack) -> bool:
    for number in range(1, settings.parallel_runs + 1):
        with storing(settings.models), contextlib.suppress(Timeout):
            held.enter_context(FileLock(settings.models / f"turn-{number}.lock").acquire(timeout=0))
            return True
    return False


def _train_on_cluster(folder: Path, settings: Settings) -> ModelInfo | None:
    """Let the cluster train; returns None if the run was stopped."""

    stop = folder / runs.STOP
    asked_at: float | None = None

    def should_cancel() -> bool:
        """Whether what was asked to stop waits for room, at first or after its machine was lost: nobody obeys there."""
        nonlocal asked_at
        run = runs.load_run(folder.name, settings)
        if run.status == "queued":
            stop_late(run, settings)
        if not stop.exists():
            return False
        asked_at = asked_at or time.monotonic()
        return run.status == "queued" or time.monotonic() - asked_at > 2 * GIVE_UP

    train_on_cluster(train_placed, folder.name, settings, should_cancel)
    return load_info(folder.name, settings) if (folder / METADATA).exists() else None


def train_placed(run_id: str, settings: Settings) -> None:
    """Train the run whose turn it is on this machine of a cluster, from its last checkpoint or from the start.

    Its job tells the end, unless that is a model. Raises TrainingUnavailable where the machine does not see the run's
    folder, and what training raises.
    """
    folder, machine = model_folder(run_id, settings), name_machine()
    stop = folder / runs.STOP
    if not folder.is_dir():
        raise TrainingUnavailable(
            f"A machine of the cluster ({machine}) does not see the folder {folder.parent}. Give it the volume that "
            "the others have there, and resume."
        )
    with _training_lock(folder):
        if (folder / METADATA).exists() or stop.exists():  # it was placed again though its work was done
            return
        _clear_up(folder)
        check_tensorflow()
        append_event(folder, TrainEvent("started", time.time(), message=f"Placed on {machine}"))
        try:
            _train(folder, settings, partial(append_event, folder), lambda: None)
        except KeyboardInterrupt:
            if not stop.exists():
                raise


def _training_lock(folder: Path) -> contextlib.AbstractContextManager[object]:
    """What only one machine can hold: another one that was taken for lost may still train."""
    with storing(folder):
        try:
            return FileLock(folder / TRAINING_LOCK).acquire(LEASE, cancel_check=(folder / runs.STOP).exists)
        except Timeout:
            if (folder / runs.STOP).exists():
                return contextlib.nullcontext()
            raise TrainingUnavailable(
                f"The machine that trained {folder.name} was lost, and what it had locked is not given back. Resume it "
                "in some minutes."
            ) from None


@contextlib.contextmanager
def _interrupted_by(stop: Path, tell_stop: Callable[[], None]) -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread when `stop` appears and what goes on does not end by itself.

    Where that does not help, tell the end and leave the process: what was kept was kept whole.
    """
    over, interrupted, deciding = threading.Event(), threading.Event(), threading.Lock()

    def watch() -> None:
        asked_at = None
        while not over.wait(STOP_POLL):
            while stop.exists() and not over.wait(STOP_GRACE):  # once may be swallowed by a library
                asked_at = asked_at or time.monotonic()
                with deciding:
                    if over.is_set():
                        return
                    if time.monotonic() - asked_at > GIVE_UP:
                        try:
                            tell_stop()
                        finally:
                            os._exit(0)
                    interrupted.set()
                    _thread.interrupt_main()

    if threading.current_thread() is threading.main_thread():  # no other can be interrupted
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in the background without
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    except DigitError:
        raise
    except Exception as error:
        if interrupted.is_set():  # a library that was interrupted may fail of anything
            raise KeyboardInterrupt from error
        raise
    finally:
        over.set()
        with deciding:
            pass  # no interruption comes after this


class _Stages:
    """Tells what a run does, with the time left until its model can read."""

    def __init__(self, tell: Callable[[TrainEvent], None], ahead: Forecast) -> None:
        self.tell, self.ahead = tell, ahead
        self.told: dict[str, tuple[float, float]] = {}  # of what goes on, when it began and when it was told last

    def report(self, message: str, left: float) -> None:
        self.tell(TrainEvent("started", time.time(), eta_s=left, message=message))

    def fetch(self, what: str, share: float) -> None:
        self._tell_share(what, share, self.ahead.images, sum(self.ahead[1:]))

    def train(self, event: TrainEvent) -> None:
        left = self.ahead.training if event.eta_s is None else event.eta_s
        self.tell(dataclasses.replace(event, eta_s=left + sum(self.ahead[3:])))

    def draw_bank(self, share: float) -> None:
        self._tell_share("Drawing digits and scribbles", share, self.ahead.bank, sum(self.ahead[4:]))

    def judge(self, share: float) -> None:
        self._tell_share("Learning to tell digits from what is none", share, self.ahead.judging, self.ahead.measuring)

    def _tell_share(self, what: str, share: float, foreseen: float, then: float) -> None:
        """Tell, now and then, which share is done, and the time left: what was foreseen counts less and less for it."""
        now = time.monotonic()
        began, last = self.told.get(what, (now, -SHARE_INTERVAL))
        if now - last >= SHARE_INTERVAL:
            self.told[what] = began, now
            takes = (now - began) + (1 - share) * foreseen
            self.tell(TrainEvent("started", time.time(), eta_s=takes * (1 - share) + then, message=what, share=share))


def _train(
    folder: Path, settings: Settings, tell: Callable[[TrainEvent], None], tell_stop: Callable[[], None]
) -> ModelInfo | None:
    stop, run = folder / runs.STOP, runs.load_run(folder.name, settings)
    config = run.config
    stages = _Stages(tell, forecast(config, settings, measure_pace(runs.list_runs(settings))))
    taught_by = load_info(config.teacher_id, settings) if config.teacher_id else None
    base = load_info(config.base_model_id, settings) if config.base_model_id else None
    for needed in filter(None, (taught_by, base)):
        for name in NETWORK_FILES:
            read_model_file(needed, name, settings)  # a damaged one is told before hours of training
    with _interrupted_by(stop, tell_stop):
        stages.report("Fetching the images", sum(stages.ahead))
        lessons = load_lessons(config, settings, stages.fetch) if base else None
        dataset = lessons.dataset if lessons else load_dataset(config.dataset, settings, stages.fetch)
        if taught_by:  # a run cannot go on with another teacher, as it cannot with other images
            both = dataset.sha256 + taught_by.sha256["model.keras"]
            dataset = dataclasses.replace(dataset, sha256=hashlib.sha256(both.encode()).hexdigest())
        _, _, x_validation, y_validation = split_validation(dataset, config.validation_fraction)
        sample = Pictures(x_validation[:SAMPLE], y_validation[:SAMPLE], np.full(SAMPLE, -1)[: len(y_validation)])
        runs.save_pictures(folder, "sample", sample)
        stages.report("Starting TensorFlow", sum(stages.ahead[1:]))
        checkpoint = load_checkpoint(folder)
        epochs = list(checkpoint.epochs) if checkpoint else []

        def keep(checkpoint: Checkpoint) -> None:
            epochs[:] = checkpoint.epochs
            save_checkpoint(checkpoint, folder)

        teacher = _load_teacher(taught_by, settings) if taught_by else None
        start = load_network(base.model_id, settings) if base else None

        watch = watch_trial(run, settings)

        def tell_step(event: TrainEvent) -> None:
            stages.train(event)
            watch(event)

        trained = train(config, dataset, tell_step, stop.exists, checkpoint, keep, teacher, start)
        if stop.exists():
            return None
        bank = load_bank(settings, stages.draw_bank)
        stages.judge(0.0)
        x_known, y_known, x_validation, _ = split_validation(dataset, config.validation_fraction)
        kinds = part_validation(dataset.name, x_validation)
        reader = make_reader(trained)
        judge = learn_digit_score(reader, bank, x_known, y_known, kinds, config.seed, stages.judge)
        stages.report("Measuring it on the test images", stages.ahead.measuring)
        save_network(trained, reader, judge, folder)
        evaluation, calibration = _evaluate(folder, config, dataset)
        if base and lessons:
            stages.report(f"Comparing it with {name_of(base.model_id)}", stages.ahead.measuring / 2)
            _compare(folder, base, lessons, settings)
    info = save_model(folder, config, trained.count_params(), epochs[-1].metrics, evaluation, calibration)
    (folder / runs.RESERVE).unlink(missing_ok=True)
    message = f"{100 * info.test_accuracy:.2f} % of {len(dataset.y_test):,} test images"
    tell(dataclasses.replace(epochs[-1], kind="finished", time=time.time(), eta_s=0.0, answers=(), message=message))
    return info


def _compare(folder: Path, base: ModelInfo, lessons: Lessons, settings: Settings) -> None:
    """Measure what was learned beside its base; keep what was taught, and the images that only the base reads."""
    before = Network(read_model_file(base, "model.tflite", settings))
    after = Network((folder / "model.tflite").read_bytes())
    comparisons, lost = compare(before.probabilities, after.probabilities, lessons.measured)
    counts = {name: getattr(lessons, name) for name in ("learned", "confirmed", "held_out")}
    images, digits = lessons.taught
    runs.save_pictures(folder, "taught", Pictures(images, digits, after.probabilities(images).argmax(axis=1)))
    runs.save_pictures(folder, "lost", lost)
    runs.save_comparisons(folder, comparisons, counts)
    runs.save_known(folder, lessons.known)


def _load_teacher(info: ModelInfo, settings: Settings) -> Callable[[np.ndarray], np.ndarray]:
    """A stored model that reads images `(N, 28, 28) uint8`, as fast as it can here."""
    network = build_network(info.config, choose_precision())
    network.set_weights(load_network(info.model_id, settings).get_weights())

    def read(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), CHUNK)
        return np.concatenate([network.predict_on_batch(to_input(images[i : i + CHUNK])) for i in starts])

    return read


def _evaluate(folder: Path, config: TrainConfig, dataset: Dataset) -> tuple[Evaluation, dict[str, float]]:
    """Calibrate and evaluate what will be served, not what was trained, and keep the worst mistakes as pictures."""
    served = Network((folder / "model.tflite").read_bytes())
    _, _, x_validation, y_validation = split_validation(dataset, config.validation_fraction)
    validation, test = (x_validation, y_validation), (dataset.x_test, dataset.y_test)
    evaluation, calibration, mistakes = measure(served.probabilities, validation, test, config.seed)
    runs.save_pictures(folder, "mistakes", mistakes)
    return evaluation, calibration
