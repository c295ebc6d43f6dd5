import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from digit_core import runs
from digit_core.errors import DataUnavailable, InvalidConfig, ModelUnavailable, StorageFailed
from digit_core.model_store import list_models, to_json
from digit_core.settings import ROOT, read_settings, to_environ
from digit_core.training import check_config, learning_rate
from digit_core.types import TrainConfig, TrainEvent

CONFIG = TrainConfig("ann", dataset="synthetic", hidden_units=(32,), epochs=1)


@pytest.fixture
def settings():
    return read_settings()


def diary(settings, run_id, *kinds):
    for kind in kinds:
        runs._append(settings.models / run_id, TrainEvent(kind, time.time() - 60))


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.1)


def test_a_new_run_is_a_folder_with_its_settings_and_waits(settings):
    run_id = runs.create_run(CONFIG, settings)
    run = runs.load_run(run_id, settings)
    assert (run.config, run.status, run.started_at) == (CONFIG, "queued", None)


def test_runs_of_one_second_get_ids_of_their_own(settings):
    assert len({runs.create_run(CONFIG, settings) for _ in range(5)}) == 5


@pytest.mark.parametrize("taken", ["cnn", "mine"])
def test_an_id_is_given_once(settings, taken):
    if taken == "mine":
        runs.create_run(CONFIG, settings, "mine")
    with pytest.raises(ModelUnavailable, match=f"a model or run '{taken}' already"):
        runs.create_run(CONFIG, settings, taken)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "number of epochs is 0. Choose a value from 1 to 1000"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"batch_size": 0}, "batch size"),
        ({"hidden_units": ()}, "hidden layers"),
        ({"hidden_units": (0,)}, "hidden units"),
        ({"filters": (9999,)}, "filters"),
        ({"dropout": 1.0}, "dropout is 1"),
        ({"architecture": "rnn"}, "architecture is 'rnn'. Choose one of ann, cnn"),
        ({"optimizer": "magic"}, "optimizer"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_setting_outside_its_range_is_told_before_anything_is_made(settings, change, sentence):
    with pytest.raises(InvalidConfig, match=sentence):
        runs.create_run(dataclasses.replace(CONFIG, **change), settings)
    assert not settings.models.exists()


def test_the_default_settings_are_in_range():
    check_config(TrainConfig())


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_a_schedule_stays_below_its_peak_and_above_zero(schedule):
    config = TrainConfig(schedule=schedule, learning_rate=0.01)
    rates = [learning_rate(config, step / 100) for step in range(101)]
    assert min(rates) > 0 and max(rates) <= 0.01 + 1e-12
    assert (rates[-1] < 1e-4) == (schedule != "constant")
    assert (rates[0] < 0.001) == (schedule == "one-cycle")


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["queued"], "lost"),
        (["queued", "started", "batch"], "lost"),
        (["queued", "started", "finished"], "finished"),
        (["queued", "stopped"], "stopped"),
        (["queued", "started", "failed"], "failed"),
    ],
)
def test_a_status_follows_from_the_diary_once_the_process_is_gone(settings, kinds, status):
    folder = settings.models / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(to_json(CONFIG))
    diary(settings, "mine", *kinds)
    assert runs.load_run("mine", settings).status == status


def test_a_run_whose_process_lives_is_running(settings):
    folder = settings.models / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(to_json(CONFIG))
    diary(settings, "mine", "queued", "started")
    with FileLock(folder / "run.lock"):
        assert runs.load_run("mine", settings).status == "running"


def test_a_model_that_travelled_without_its_diary_is_no_lost_run(settings):
    folder = settings.models / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_bytes(to_json(CONFIG))
    (folder / "metadata.json").write_text("{}")
    assert runs.load_run("mine", settings).status == "finished"
    assert not (folder / "run.lock").exists()


def test_a_stopped_download_stops_the_run(settings, monkeypatch):
    run_id = runs.create_run(CONFIG, settings)

    def download(name, settings, on_progress):
        on_progress(0.1)
        runs.stop_run(run_id, settings)
        on_progress(0.2)

    monkeypatch.setattr(runs, "load_dataset", download)
    assert runs.execute_run(run_id, settings, lambda event: None) is None
    assert [event.kind for event in runs.read_events(run_id, settings)] == ["queued", "started", "started", "stopped"]


def test_a_process_in_another_folder_reads_the_same_settings(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = dataclasses.replace(settings, models=Path("models"))
    assert read_settings(to_environ(relative)) == dataclasses.replace(relative, models=tmp_path / "models")


def test_a_line_that_was_cut_short_is_left_out(settings):
    run_id = runs.create_run(CONFIG, settings)
    with (settings.models / run_id / "events.jsonl").open("a") as file:
        file.write('{"kind": "batch", "ti')
    assert [event.kind for event in runs.read_events(run_id, settings)] == ["queued"]


@pytest.mark.parametrize("line", ["[]", '{"kind": "batch", "time": 1}', '{"kind": "started", "time": "noon"}', "\0"])
def test_a_damaged_line_is_left_out(settings, line):
    run_id = runs.create_run(CONFIG, settings)
    with (settings.models / run_id / "events.jsonl").open("a") as file:
        file.write(line + "\n")
    assert [event.kind for event in runs.read_events(run_id, settings)] == ["queued"]
    assert runs.load_run(run_id, settings).status == "queued"


def test_a_folder_that_is_no_run_is_left_out_of_the_list(settings):
    run_id = runs.create_run(CONFIG, settings)
    (settings.models / "odd").mkdir()
    (settings.models / "odd" / "config.json").write_text("nonsense")
    assert [run.run_id for run in runs.list_runs(settings)] == [run_id]


def test_an_unknown_run_is_told(settings):
    with pytest.raises(ModelUnavailable, match="no run 'nobody'"):
        runs.load_run("nobody", settings)


def test_a_run_that_is_over_does_not_start_again(settings):
    run_id = runs.create_run(CONFIG, settings)
    diary(settings, run_id, "stopped")
    with pytest.raises(ModelUnavailable, match=r"has stopped\. Start a new one"):
        runs.execute_run(run_id, settings, lambda event: None)


def test_a_starter_is_not_trained_over(settings):
    with pytest.raises(ModelUnavailable, match="has finished"):
        runs.execute_run("ann", settings, lambda event: None)


def test_a_full_disk_leaves_the_id_free(settings, monkeypatch):
    def full(path, content):
        raise StorageFailed("The disk is full.")

    with monkeypatch.context() as patched, pytest.raises(StorageFailed):
        patched.setattr(runs, "write_file", full)
        runs.create_run(CONFIG, settings, "mine")
    assert runs.create_run(CONFIG, settings, "mine") == "mine"


def test_a_run_under_way_is_not_started_twice(settings, monkeypatch):
    monkeypatch.setattr(runs, "LOCK_WAIT", 0.1)
    run_id = runs.create_run(CONFIG, settings)
    with (
        FileLock(settings.models / run_id / "run.lock"),
        pytest.raises(ModelUnavailable, match="under way in another process"),
    ):
        runs.execute_run(run_id, settings, lambda event: None)


def test_a_queued_run_stops_while_it_waits(settings):
    run_id = runs.create_run(CONFIG, settings)
    runs.stop_run(run_id, settings)
    with FileLock(settings.models / "queue.lock"):
        assert runs.execute_run(run_id, settings, lambda event: None) is None
    assert runs.load_run(run_id, settings).status == "stopped"


def test_a_failure_is_kept_in_the_diary_and_told(settings):
    run_id = runs.create_run(dataclasses.replace(CONFIG, dataset="cifar"), settings)
    with pytest.raises(DataUnavailable):
        runs.execute_run(run_id, settings, lambda event: None)
    assert runs.load_run(run_id, settings).status == "failed"
    assert "cifar" in runs.read_events(run_id, settings)[-1].message


def test_a_folder_that_cannot_be_made_is_told(settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="could not be written"):
        runs.create_run(CONFIG, dataclasses.replace(settings, models=tmp_path / "file" / "models"))


def test_a_run_trains_in_a_process_of_its_own_and_its_model_serves(settings):
    run_id = runs.start_run(CONFIG, settings)
    wait_until(lambda: runs.load_run(run_id, settings).status not in ("queued", "running"))
    kinds = [event.kind for event in runs.read_events(run_id, settings)]
    log = (settings.models / run_id / "worker.log").read_text()
    assert runs.load_run(run_id, settings).status == "finished", log
    assert kinds[:2] == ["queued", "started"] and "batch" in kinds and kinds[-2:] == ["epoch", "finished"]
    info = next(info for info in list_models(settings) if info.model_id == run_id)
    assert info.test_accuracy > 0.8


@pytest.mark.slow
def test_a_killed_process_leaves_a_lost_run_and_the_next_one_takes_its_turn(settings):
    endless = dataclasses.replace(CONFIG, epochs=500)
    run_id = runs.create_run(endless, settings)
    command = [sys.executable, "-m", "digit_core", "train", "--resume", run_id]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: any(event.kind == "batch" for event in runs.read_events(run_id, settings)))
    process.kill()
    process.wait()
    second = runs.start_run(CONFIG, settings)
    wait_until(lambda: runs.load_run(second, settings).status == "finished")
    wait_until(lambda: runs.load_run(run_id, settings).status == "lost")
    assert run_id not in [info.model_id for info in list_models(settings)]


@pytest.mark.slow
def test_a_stopped_run_leaves_no_model(settings):
    run_id = runs.start_run(dataclasses.replace(CONFIG, epochs=500), settings)
    wait_until(lambda: any(event.kind == "batch" for event in runs.read_events(run_id, settings)))
    runs.stop_run(run_id, settings)
    wait_until(lambda: runs.load_run(run_id, settings).status == "stopped")
    assert run_id not in [info.model_id for info in list_models(settings)]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["ann", "cnn"])
def test_the_same_seed_makes_the_same_network(settings, architecture):
    config = dataclasses.replace(CONFIG, architecture=architecture, filters=(4, 8), dataset="synthetic", augment=True)
    finals = []
    for run_id in ("first", "second"):
        runs.create_run(config, settings, run_id)
        command = [sys.executable, "-m", "digit_core", "train", "--resume", run_id, "--json"]
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
        }
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        finals.append(json.loads(done.stdout.splitlines()[-2])["metrics"])
    assert finals[0] == pytest.approx(finals[1], abs=1e-6)
