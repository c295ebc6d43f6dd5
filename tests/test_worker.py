"""The process of a run: its turn, its end, and what a kill leaves."""

import dataclasses
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from images import draw_dataset

from digit_core import runs, worker
from digit_core.architectures import VIEWS, make_reader
from digit_core.classifier import Network
from digit_core.datasets import SYNTHETIC_FILE
from digit_core.diary import append_event, read_events
from digit_core.errors import DataUnavailable, ModelUnavailable, StorageFailed, TrainingUnavailable
from digit_core.learning import plan_fine_tuning
from digit_core.model_store import list_models, load_info, load_network, read_model_file, to_json
from digit_core.settings import ROOT, STARTERS
from digit_core.synthetic import draw_digits
from digit_core.training import to_input
from digit_core.types import TrainConfig, TrainEvent
from digit_core.worker import execute_run

pytestmark = pytest.mark.usefixtures("bank")
CONFIG = TrainConfig("ann", dataset="synthetic", hidden_units=(32,), epochs=1)
LONG = dataclasses.replace(CONFIG, epochs=500)
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def wait_until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def kinds(settings, run_id):
    return [event.kind for event in read_events(settings.models / run_id)]


def status(settings, run_id):
    return runs.load_run(run_id, settings).status


def work(run_id, *flags, **variables):
    """Start a run's process, as `start_run` does, but as a child that can be killed."""
    command = [sys.executable, "-m", "digit_core", "train", "--resume", run_id, *flags]
    silence = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, **silence)


def load_weights(folder):
    """The weights of a `model.keras` in the order of their names, without TensorFlow."""
    import h5py

    with zipfile.ZipFile(folder / "model.keras") as archive:
        content = BytesIO(archive.read("model.weights.h5"))
    found = {}
    with h5py.File(content) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: found[name] for name in sorted(found)}


@pytest.mark.slow
def test_a_run_trains_in_a_process_of_its_own_and_its_model_serves(settings):
    run_id = runs.start_run(CONFIG, settings)
    wait_until(lambda: status(settings, run_id) not in runs.ACTIVE)
    folder = settings.models / run_id
    assert status(settings, run_id) == "finished", (folder / "worker.log").read_text()
    told = kinds(settings, run_id)
    assert told[:2] == ["queued", "started"] and "batch" in told and told[-1] == "finished"
    info = next(info for info in list_models(settings) if info.model_id == run_id)
    assert info.test_accuracy > 0.8
    assert runs.load_run(run_id, settings).elapsed_s > 0
    assert len(runs.load_pictures(run_id, "sample", settings).images) == 24
    mistakes = runs.load_pictures(run_id, "mistakes", settings)
    assert len(mistakes.images) and (mistakes.y_true != mistakes.y_pred).all()
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "events.jsonl", "evaluation.json", "metadata.json", "model.keras", "model.tflite"),
        *("sample.npz", "mistakes.npz", "worker.log", "run.lock"),
    }
    images, network = draw_digits(200, seed=9)[0], load_network(run_id, settings)
    served = Network(read_model_file(info, "model.tflite", settings)).probabilities(images)
    thrice, once = (make_reader(network, views).predict(to_input(images), verbose=0)[1] for views in (VIEWS, VIEWS[:1]))
    assert np.abs(served - thrice).mean() < np.abs(served - once).mean() / 5


def test_a_teacher_that_is_gone_ends_a_run_at_once(settings):
    run_id = runs.create_run(CONFIG, settings)
    taught = dataclasses.replace(CONFIG, teacher_id="nobody")
    (settings.models / run_id / "config.json").write_bytes(to_json(taught))
    with pytest.raises(ModelUnavailable, match="no model 'nobody'"):
        execute_run(run_id, settings, lambda event: None)
    assert status(settings, run_id) == "failed"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2.4
@pytest.mark.parametrize("name", ["model.keras", "model.tflite"])
def test_a_damaged_base_ends_a_run_before_it_trains(settings, name):
    shutil.copytree(STARTERS / "ann", settings.models / "mine")
    run_id = runs.create_run(plan_fine_tuning(load_info("mine", settings), settings), settings)
    (settings.models / "mine" / name).write_bytes(b"damaged")
    with pytest.raises(ModelUnavailable, match=f"{name} of model mine was changed"):
        execute_run(run_id, settings, lambda event: None)
    assert kinds(settings, run_id)[-1] == "failed"


def test_a_teacher_answers_as_the_stored_model_does(settings):
    images = draw_digits(50, seed=0)[0]
    info = load_info("ann", settings)
    answers = load_network("ann", settings).predict(to_input(images), verbose=0)
    np.testing.assert_allclose(worker._load_teacher(info, settings)(images), answers, atol=0.05)  # half precision


def test_a_run_does_not_go_on_under_another_teacher(settings, monkeypatch):
    monkeypatch.setattr(worker, "load_dataset", lambda *rest: draw_dataset(100, 10))
    monkeypatch.setattr(worker, "train", lambda config, dataset, *rest: digests.append(dataset.sha256))
    digests = []
    for teacher in (None, "cnn", "ann"):
        run_id = runs.create_run(dataclasses.replace(CONFIG, teacher_id=teacher), settings)
        with pytest.raises(AttributeError):  # no network came back
            execute_run(run_id, settings, lambda event: None)
    assert len(set(digests)) == 3


@pytest.mark.parametrize("end", ["finished", "stopped", "failed", "batch"])
def test_a_run_that_does_not_wait_is_not_executed(settings, keep_run, end):
    keep_run("mine", "queued", "started", end)
    with pytest.raises(ModelUnavailable, match="it does not wait for its turn"):
        execute_run("mine", settings, lambda event: None)


def test_a_starter_is_not_trained_over(settings):
    with pytest.raises(ModelUnavailable, match="ann is finished"):
        execute_run("ann", settings, lambda event: None)


def test_a_run_under_way_is_not_started_twice(settings, monkeypatch):
    monkeypatch.setattr(worker, "LOCK_WAIT", 0.1)
    run_id = runs.create_run(CONFIG, settings)
    with (
        FileLock(settings.models / run_id / "run.lock"),
        pytest.raises(ModelUnavailable, match="under way in another process"),
    ):
        execute_run(run_id, settings, lambda event: None)


def test_a_queued_run_stops_while_it_waits(settings):
    run_id = runs.create_run(CONFIG, settings)
    runs.stop_run(run_id, settings)
    with FileLock(settings.models / "turn-1.lock"):
        assert execute_run(run_id, settings, lambda event: None) is None
    assert status(settings, run_id) == "stopped"


def test_runs_take_turns_in_the_order_of_arrival(settings, monkeypatch):
    order = []

    def train(folder, settings, *rest):
        append_event(folder, TrainEvent("started", time.time()))
        order.append(f"{folder.name} begins")
        time.sleep(1)
        order.append(f"{folder.name} ends")

    monkeypatch.setattr(worker, "_train", train)
    ids = [runs.create_run(CONFIG, settings, run_id) for run_id in ("zebra", "yak", "ape")]
    workers = [threading.Thread(target=execute_run, args=(run_id, settings, lambda event: None)) for run_id in ids]
    for thread in reversed(workers):
        thread.start()
    for thread in workers:
        thread.join(60)
    assert order == [f"{run_id} {what}" for run_id in ids for what in ("begins", "ends")]


def test_as_many_runs_train_at_a_time_as_the_setting_says(settings, monkeypatch):
    settings = dataclasses.replace(settings, parallel_runs=2)
    together = threading.Barrier(2, timeout=30)

    def train(folder, settings, *rest):
        append_event(folder, TrainEvent("started", time.time()))
        together.wait()

    monkeypatch.setattr(worker, "_train", train)
    ids = [runs.create_run(CONFIG, settings) for _ in range(2)]
    workers = [threading.Thread(target=execute_run, args=(run_id, settings, lambda event: None)) for run_id in ids]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join(60)
    assert [status(settings, run_id) for run_id in ids] == ["stopped", "stopped"]
    assert not together.broken


def test_a_stopped_download_stops_the_run(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)

    def download(name, settings, on_progress):
        runs.stop_run(run_id, settings)
        for _ in range(100):
            time.sleep(0.1)
            on_progress("Downloading MNIST", 0.2)
        raise AssertionError("It went on to its end.")

    monkeypatch.setattr(worker, "load_dataset", download)
    assert execute_run(run_id, settings, lambda event: None) is None
    assert kinds(settings, run_id)[-1] == "stopped"


def test_a_failure_is_kept_in_the_diary_and_told(settings):
    run_id = runs.create_run(dataclasses.replace(CONFIG, dataset="synthetic+feedback"), settings)
    with pytest.raises(DataUnavailable):
        execute_run(run_id, settings, lambda event: None)
    assert status(settings, run_id) == "failed"
    assert "Nobody has said yet" in read_events(settings.models / run_id)[-1].message


def test_without_tensorflow_a_run_fails_at_once_with_a_sentence(settings, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run_id = runs.create_run(CONFIG, settings)
    with pytest.raises(TrainingUnavailable):
        execute_run(run_id, settings, lambda event: None)
    assert "Training needs TensorFlow" in read_events(settings.models / run_id)[-1].message


def test_what_a_killed_process_left_is_cleared_up(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)
    folder = settings.models / run_id
    for name in ("checkpoint-abc", "export-abc"):
        (folder / name).mkdir()
    (folder / "metadata.json.partial-17").touch()
    monkeypatch.setattr(worker, "_train", lambda *rest: None)
    execute_run(run_id, settings, lambda event: None)
    assert {path.name for path in folder.iterdir()} == {"config.json", "events.jsonl", "run.lock"}


def test_a_fault_in_the_program_is_kept_and_not_swallowed(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)
    monkeypatch.setattr(worker, "load_dataset", lambda *rest: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execute_run(run_id, settings, lambda event: None)
    assert "A fault in the program: ZeroDivisionError" in read_events(settings.models / run_id)[-1].message


def test_a_reader_that_goes_away_stops_the_run(settings):
    run_id = runs.create_run(CONFIG, settings)

    def closed(event):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        execute_run(run_id, settings, closed)
    assert status(settings, run_id) == "stopped"


def test_a_reader_that_goes_away_after_the_end_leaves_a_finished_run(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)

    def finish(folder, settings, tell, tell_stop):
        for name in ("metadata.json", "evaluation.json", "model.keras", "model.tflite"):
            shutil.copy(STARTERS / "ann" / name, folder)
        tell(TrainEvent("finished", time.time()))

    def closed(event):
        raise BrokenPipeError

    monkeypatch.setattr(worker, "_train", finish)
    with pytest.raises(BrokenPipeError):
        execute_run(run_id, settings, closed)
    assert status(settings, run_id) == "finished"
    with pytest.raises(ModelUnavailable, match="has finished"):
        runs.resume_run(run_id, settings)


def test_a_disk_that_takes_no_picture_is_told_and_kept(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)

    def full(folder, name, pictures):
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(worker, "load_dataset", lambda *rest: draw_dataset(100, 10))
    monkeypatch.setattr(runs, "save_pictures", full)
    with pytest.raises(StorageFailed):
        execute_run(run_id, settings, lambda event: None)
    assert read_events(settings.models / run_id)[-1].message == "The disk is full."
    assert not (settings.models / run_id / runs.RESERVE).exists()


def test_a_lock_that_cannot_be_made_ends_the_run_with_a_sentence(settings):
    run_id = runs.create_run(CONFIG, settings)
    (settings.models / run_id / "run.lock").mkdir()
    with pytest.raises(StorageFailed):
        execute_run(run_id, settings, lambda event: None)
    last = read_events(settings.models / run_id)[-1]
    assert last.kind == "failed" and "could not be written" in last.message


UNREACHABLE = """
import ctypes, pathlib, sys
from digit_core import worker
worker.GIVE_UP = 0.3
stop, told = map(pathlib.Path, sys.argv[1:])
with worker._interrupted_by(stop, lambda: told.write_text("stopped")):
    stop.touch()
    ctypes.CDLL(None).sleep(30)  # as a batch of minutes: no interruption reaches it
"""


@pytest.mark.skipif(sys.platform == "win32", reason="The test sleeps in the C library.")
def test_a_batch_that_no_interruption_reaches_is_left(tmp_path):
    stop, told = tmp_path / "stop", tmp_path / "told"
    result = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, str(stop), str(told)], cwd=ROOT, timeout=25, check=False
    )
    assert (result.returncode, told.read_text()) == (0, "stopped")


@pytest.mark.parametrize("loss", ["folder", "settings"])
def test_a_waiting_run_that_nobody_can_read_any_more_ends(settings, loss):
    run_id = runs.create_run(CONFIG, settings)
    folder = settings.models / run_id
    told = []

    def execute():
        try:
            execute_run(run_id, settings, lambda event: None)
        except ModelUnavailable as error:
            told.append(str(error))

    with FileLock(settings.models / "turn-1.lock"):
        waiting = threading.Thread(target=execute)
        waiting.start()
        time.sleep(1)
        if loss == "folder":
            shutil.rmtree(folder)
        else:
            (folder / "config.json").write_text("{")
        waiting.join(20)
    assert len(told) == 1
    if loss == "settings":
        assert read_events(folder)[-1].kind == "failed"


def test_what_has_failed_at_its_very_end_is_no_model(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)
    folder = settings.models / run_id

    def full(folder, *rest):
        (folder / "metadata.json").write_text("{}")
        raise StorageFailed("The disk is full.")

    monkeypatch.setattr(worker, "_train", full)
    with pytest.raises(StorageFailed):
        execute_run(run_id, settings, lambda event: None)
    assert status(settings, run_id) == "failed"
    assert not (folder / "metadata.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["Drawing digits", "Starting TensorFlow", "batch", "Measuring"])
def test_a_stop_is_obeyed_whatever_goes_on(settings, when):
    if when == "Drawing digits":
        (settings.data / SYNTHETIC_FILE).unlink()
    run_id = runs.start_run(CONFIG if when == "Measuring" else LONG, settings)
    wait_until(
        lambda: any(
            when == event.kind or event.message.startswith(when) for event in read_events(settings.models / run_id)
        )
    )
    time.sleep(0.0 if when == "Measuring" else 0.5)
    asked = time.time()
    runs.stop_run(run_id, settings)
    wait_until(lambda: status(settings, run_id) not in runs.ACTIVE, 20)
    ended = runs.load_run(run_id, settings)
    assert ended.status == "stopped" or (when == "Measuring" and ended.status == "finished")  # who was first
    assert ended.ended_at.timestamp() - asked < 5  # about half a second on an idle machine
    assert (run_id in [info.model_id for info in list_models(settings)]) == (ended.status == "finished")


def test_what_a_library_fails_of_when_it_is_interrupted_is_a_stop_and_else_a_fault(tmp_path):
    def work_on(stop):
        with worker._interrupted_by(stop, lambda: None):
            try:
                for _ in range(100):
                    time.sleep(0.1)
            except KeyboardInterrupt:
                raise AttributeError("half made") from None

    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        work_on(tmp_path / "stop")
    with pytest.raises(AttributeError), worker._interrupted_by(tmp_path / "none", lambda: None):
        raise AttributeError("a fault")


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ann", "cnn"])
def test_a_killed_run_goes_on_to_the_weights_of_an_unbroken_one(settings, architecture):
    changes = {"filters": (2, 2), "convolutions": 1, "epochs": 2, "dropout": 0.3, "validation_fraction": 0.5}
    config = dataclasses.replace(CONFIG, architecture=architecture, **changes)
    folders = {}
    for run_id in ("unbroken", "killed"):
        runs.create_run(config, settings, run_id)
        folders[run_id] = settings.models / run_id
    assert work("unbroken", "--queued", **ONE_THREAD).wait(300) == 0
    process = work("killed", "--queued", **ONE_THREAD)
    wait_until(lambda: [(e.epoch, e.batch > 20) for e in read_events(settings.models / "killed")][-1] == (2, True))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert status(settings, "killed") == "lost"
    assert not (folders["killed"] / "model.keras").exists()
    assert work("killed", **ONE_THREAD).wait(300) == 0
    expected, resumed = (load_weights(folder) for folder in folders.values())
    assert expected.keys() == resumed.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(resumed[name], values, atol=1e-6, err_msg=name)
    epochs = [event.epoch for event in read_events(settings.models / "killed") if event.kind == "epoch"]
    assert epochs == [1, 2]


@pytest.mark.slow
def test_a_killed_process_leaves_a_lost_run_and_the_next_one_takes_its_turn(settings):
    run_id = runs.create_run(LONG, settings)
    process = work(run_id, "--queued")
    wait_until(lambda: "batch" in kinds(settings, run_id))
    process.kill()
    process.wait()
    second = runs.start_run(CONFIG, settings)
    wait_until(lambda: status(settings, second) == "finished")
    assert status(settings, run_id) == "lost"
    assert run_id not in [info.model_id for info in list_models(settings)]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="This system has no /dev/full.")
def test_a_disk_that_fills_up_in_mid_run_is_told_in_a_sentence(settings):
    run_id = runs.create_run(LONG, settings)
    folder = settings.models / run_id
    process = subprocess.Popen(
        [sys.executable, "-m", "digit_core", "train", "--resume", run_id, "--queued"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: "batch" in kinds(settings, run_id))
    (folder / "events.jsonl").rename(folder / "events.full")
    (folder / "events.jsonl").symlink_to("/dev/full")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "could not be written: No space left on device. Free some space" in said
    assert run_id not in [info.model_id for info in list_models(settings)]
