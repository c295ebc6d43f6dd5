"""Runs as folders: what they hold, what their diaries tell, who is next."""

import dataclasses
import errno
import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from digit_core import model_store, runs
from digit_core.diary import STEPS, append_event
from digit_core.errors import InvalidConfig, ModelUnavailable, StorageFailed, TrainingUnavailable
from digit_core.model_store import to_json
from digit_core.run_queue import find_queue
from digit_core.settings import read_settings, to_environ
from digit_core.types import Pictures, TrainConfig, TrainEvent

CONFIG = TrainConfig("ann", dataset="synthetic", hidden_units=(32,), epochs=1)


def diary(settings, run_id, *kinds, age=60):
    folder = settings.models / run_id
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "config.json").write_bytes(to_json(CONFIG))
    for place, kind in enumerate(kinds):
        event = TrainEvent(kind, time.time() - age, 1, 1 + place, 10, {"loss": 1.0}, elapsed_s=float(place))
        append_event(folder, event if kind in STEPS else TrainEvent(kind, event.time))
    return folder


def test_a_new_run_is_a_folder_with_its_settings_and_waits(settings):
    run_id = runs.create_run(CONFIG, settings)
    run = runs.load_run(run_id, settings)
    assert (run.config, run.status, run.started_at) == (CONFIG, "queued", None)


def test_runs_of_one_second_get_ids_of_their_own(settings):
    assert len({runs.create_run(CONFIG, settings) for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("wide", "wide"),
        ("Meine große 1!", "meine-grosse-1"),
        ("  Été / 2 ", "ete-2"),
        ("CNN", "cnn-2"),
        ("x" * 60, "x" * 40),
        ("../../etc", "etc"),
    ],
)
def test_a_name_becomes_an_id(settings, name, run_id):
    assert runs.create_run(CONFIG, settings, name=name) == run_id


def test_the_name_of_a_deleted_run_is_not_given_again_while_it_can_be_brought_back(settings):
    folder = runs.model_folder(runs.create_run(CONFIG, settings, name="wide"), settings)
    runs.tell_end(folder, "stopped")
    runs.delete_run("wide", settings)
    assert runs.create_run(CONFIG, settings, name="wide") == "wide-2"
    runs.restore_run("wide", settings)
    assert folder.is_dir()


def test_the_second_run_of_a_name_is_numbered_and_a_name_without_letters_of_ids_is_none(settings):
    assert [runs.create_run(CONFIG, settings, name="wide") for _ in range(3)] == ["wide", "wide-2", "wide-3"]
    assert re.fullmatch(r"ann-\d{8}-\d{6}", runs.create_run(CONFIG, settings, name="七"))


@pytest.mark.parametrize("taken", ["cnn", "mine"])
def test_an_id_is_given_once(settings, taken):
    if taken == "mine":
        runs.create_run(CONFIG, settings, "mine")
    with pytest.raises(ModelUnavailable, match=f"a model or run '{taken}' already"):
        runs.create_run(CONFIG, settings, taken)


def test_a_wrong_setting_is_told_before_anything_is_made(settings):
    with pytest.raises(InvalidConfig, match="epochs"):
        runs.create_run(dataclasses.replace(CONFIG, epochs=0), settings)
    assert not settings.models.exists()


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["queued"], "lost"),
        (["queued", "started", "batch"], "lost"),
        (["queued", "started", "finished"], "finished"),
        (["queued", "stopped"], "stopped"),
        (["queued", "started", "failed"], "failed"),
        (["queued", "started", "batch", "stopped", "queued", "started", "batch"], "lost"),
        ([], "lost"),
    ],
)
def test_a_status_follows_from_the_diary_once_the_process_is_gone(settings, kinds, status):
    diary(settings, "mine", *kinds)
    assert runs.load_run("mine", settings).status == status


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        (["queued"], "queued"),
        (["queued", "started"], "running"),
        (["queued", "started", "batch", "stopped", "queued"], "queued"),
        (["queued", "started", "batch", "stopped", "queued", "started"], "running"),
    ],
)
def test_a_run_whose_process_lives_waits_or_runs(settings, kinds, status):
    with FileLock(diary(settings, "mine", *kinds) / "run.lock"):
        assert runs.load_run("mine", settings).status == status


def test_the_times_are_those_of_the_last_start(settings):
    diary(settings, "mine", "queued", "started", "batch", "stopped", age=90)
    diary(settings, "mine", "queued", "started", age=30)
    run = runs.load_run("mine", settings)
    assert time.time() - run.queued_at.timestamp() == pytest.approx(30, abs=5)
    assert time.time() - run.started_at.timestamp() == pytest.approx(30, abs=5)
    assert run.ended_at is None


def test_a_model_that_travelled_without_its_diary_is_no_lost_run(settings):
    folder = diary(settings, "mine", "queued", "started")
    (folder / "metadata.json").write_text("{}")
    assert runs.load_run("mine", settings).status == "finished"
    assert not (folder / "run.lock").exists()


def test_a_lock_that_cannot_be_asked_is_held_by_nobody(settings):
    (diary(settings, "mine", "queued", "started") / "run.lock").mkdir()
    assert runs.load_run("mine", settings).status == "lost"


def test_a_process_in_another_folder_reads_the_same_settings(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = dataclasses.replace(
        settings, models=Path("models"), database_url="sqlite:///said.sqlite3", parallel_runs=3
    )
    absolute = {"models": tmp_path / "models", "database_url": f"sqlite:///{(tmp_path / 'said.sqlite3').as_posix()}"}
    assert read_settings(to_environ(relative)) == dataclasses.replace(relative, **absolute)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "postgresql://me@host/name", "sqlite:////data/a.db"]
)
def test_an_address_that_holds_everywhere_is_left_as_it_is(settings, url):
    assert to_environ(dataclasses.replace(settings, database_url=url))["DIGIT_LAB_DATABASE_URL"] == url


@pytest.mark.parametrize("text", ["0", "many", "-1", "1.5", "1000"])
def test_a_number_of_runs_that_is_none_is_told(text):
    with pytest.raises(InvalidConfig, match=f"DIGIT_LAB_PARALLEL_RUNS is '{text}'. Set it to a number from 1 to 99"):
        read_settings({"DIGIT_LAB_PARALLEL_RUNS": text})


def test_a_starter_that_was_taken_away_is_trained_again_under_its_id(settings, tmp_path, monkeypatch):
    assert runs.list_runs(settings) == []
    monkeypatch.setattr(model_store, "STARTERS", tmp_path / "none")
    with FileLock(diary(settings, "cnn", "queued") / "run.lock"):
        assert find_queue(settings) == ["cnn"]


def test_a_run_needs_its_teacher(settings):
    for teacher in ("nobody", "../cnn", ""):
        with pytest.raises(ModelUnavailable):
            runs.create_run(TrainConfig(dataset="synthetic", teacher_id=teacher), settings)
    assert runs.list_runs(settings) == []


def test_a_resumed_run_stands_at_the_end_of_the_queue(settings, quiet):
    diary(settings, "older", "queued", "started", "stopped")
    waiting = diary(settings, "waiting", "queued", age=20)
    with FileLock(waiting / "run.lock"):
        runs.resume_run("older", settings)
        assert find_queue(settings) == ["waiting", "older"]
    assert quiet == ["older"]


@pytest.mark.parametrize("end", ["stopped", "failed", "batch"])
def test_what_was_stopped_failed_or_lost_can_be_resumed(settings, quiet, end):
    folder = diary(settings, "mine", "queued", "started", end)
    runs.stop_run("mine", settings)
    runs.resume_run("mine", settings)
    assert runs.load_run("mine", settings).status == "queued"
    assert not (folder / "stop").exists()


def test_of_two_who_resume_a_run_at_once_one_does(settings, quiet):
    diary(settings, "mine", "queued", "started", "stopped")

    def resume(_):
        try:
            runs.resume_run("mine", settings)
        except ModelUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(4) as people:
        told = list(people.map(resume, range(4)))
    assert quiet == ["mine"] and sum("needs no second start" in str(words) for words in told) == 3


def test_what_is_over_or_under_way_is_not_resumed(settings, quiet):
    diary(settings, "done", "queued", "started", "finished")
    with pytest.raises(ModelUnavailable, match=r"has finished\. Start a new one"):
        runs.resume_run("done", settings)
    with (
        FileLock(diary(settings, "busy", "queued", "started") / "run.lock"),
        pytest.raises(ModelUnavailable, match="is running: it needs no second start"),
    ):
        runs.resume_run("busy", settings)
    assert quiet == []


def test_a_folder_that_is_no_run_is_left_out_of_the_list(settings):
    run_id = runs.create_run(CONFIG, settings)
    (settings.models / "odd").mkdir()
    (settings.models / "odd" / "config.json").write_text("nonsense")
    assert [run.run_id for run in runs.list_runs(settings)] == [run_id]


def test_an_unknown_run_is_told(settings):
    with pytest.raises(ModelUnavailable, match="no run 'nobody'"):
        runs.load_run("nobody", settings)


def test_a_full_disk_leaves_the_id_free(settings, monkeypatch):
    def full(path, content):
        raise StorageFailed("The disk is full.")

    with monkeypatch.context() as patched, pytest.raises(StorageFailed):
        patched.setattr(runs, "write_file", full)
        runs.create_run(CONFIG, settings, "mine")
    assert runs.create_run(CONFIG, settings, "mine") == "mine"


@pytest.fixture
def unstartable(monkeypatch):
    def refuse(*rest, **more):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(runs.subprocess, "Popen", refuse)


def test_a_run_whose_process_cannot_start_leaves_nothing(settings, unstartable):
    with pytest.raises(TrainingUnavailable, match="Resource temporarily unavailable"):
        runs.start_run(CONFIG, settings)
    assert runs.list_runs(settings) == []


def test_a_run_whose_process_cannot_start_again_can_be_resumed_later(settings, unstartable):
    diary(settings, "mine", "queued", "started", "stopped")
    with pytest.raises(TrainingUnavailable):
        runs.resume_run("mine", settings)
    assert runs.load_run("mine", settings).status == "failed"


def test_a_visitor_does_not_fill_the_queue(settings, quiet, monkeypatch):
    monkeypatch.setattr(runs, "MOST_OF_ONE", 2)
    monkeypatch.setattr(runs, "MOST_ACTIVE", 3)
    for _ in range(2):
        runs.start_run(CONFIG, settings, owner="me")
    with pytest.raises(TrainingUnavailable, match="2 runs wait or train already, 2 of them yours; at most 3 may, 2 of"):
        runs.start_run(CONFIG, settings, owner="me")
    runs.start_run(CONFIG, settings, owner="you")
    with pytest.raises(TrainingUnavailable, match="3 runs wait or train already, 0 of them yours"):
        runs.start_run(CONFIG, settings, owner="they")
    assert len(runs.list_runs(settings)) == 3


def test_a_folder_that_cannot_be_made_is_told(settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageFailed, match="could not be written"):
        runs.create_run(CONFIG, dataclasses.replace(settings, models=tmp_path / "file" / "models"))


def test_a_deleted_run_is_gone_and_can_be_brought_back(settings):
    diary(settings, "mine", "queued", "stopped")
    runs.delete_run("mine", settings)
    assert runs.list_runs(settings) == []
    runs.restore_run("mine", settings)
    assert runs.load_run("mine", settings).status == "stopped"


def test_only_the_last_deleted_runs_are_kept(settings):
    for number in range(runs.KEPT + 1):
        diary(settings, f"run-{number}", "queued", "stopped")
        runs.delete_run(f"run-{number}", settings)
    with pytest.raises(ModelUnavailable, match="run-0 cannot be brought back: many were deleted since"):
        runs.restore_run("run-0", settings)
    for number in range(1, runs.KEPT + 1):
        runs.restore_run(f"run-{number}", settings)


def test_a_name_may_be_deleted_again(settings):
    for _ in range(2):
        diary(settings, "mine", "queued", "stopped")
        runs.delete_run("mine", settings)
    assert runs.list_runs(settings) == []


def test_a_starter_and_a_run_under_way_are_not_deleted(settings):
    with pytest.raises(ModelUnavailable, match="starter model, which stays"):
        runs.delete_run("cnn", settings)
    folder = diary(settings, "busy", "queued", "started")
    with FileLock(folder / "run.lock"), pytest.raises(ModelUnavailable, match=r"is under way\. Stop it first"):
        runs.delete_run("busy", settings)
    assert folder.exists()


def test_pictures_come_back_as_they_were(settings):
    folder = diary(settings, "mine", "queued")
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    runs.save_pictures(folder, "sample", Pictures(images, np.array([1, 2, 3]), np.array([1, 2, 8])))
    read = runs.load_pictures("mine", "sample", settings)
    np.testing.assert_array_equal(read.images, images)
    assert (read.y_true.tolist(), read.y_pred.tolist()) == ([1, 2, 3], [1, 2, 8])


def packed(**changes):
    arrays = {"images": np.zeros((2, 28, 28), np.uint8), "y_true": np.array([1, 2]), "y_pred": np.array([1, 2])}
    file = io.BytesIO()
    np.savez(file, **arrays | changes)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(None, b"", b"nonsense", b"PK\x03\x04"),
        packed(images=np.zeros((2, 28, 28))),
        packed(images=np.uint8(3)),
        packed(y_true=np.array([1])),
        packed(y_pred=np.array(["a", "b"])),
        packed(images=np.zeros((2000, 28, 28), np.uint8)),
    ],
)
def test_pictures_that_cannot_be_read_are_none(settings, content):
    folder = diary(settings, "mine", "queued")
    if content is not None:
        (folder / "sample.npz").write_bytes(content)
    assert runs.load_pictures("mine", "sample", settings) is None


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": "3"},
        {"epochs": True},
        {"epochs": 2.5},
        {"epochs": 10**400},
        {"learning_rate": 10**400},
        {"filters": 5},
        {"filters": [1] * 7},
        {"filters": ["many"]},
        {"kernel_sizes": []},
        {"dataset": None},
        {"dataset": "cifar"},
        {"batch_norm": "no"},
        {"dropout": 5},
        {"learning_rate": "fast"},
        {"validation_fraction": 100},
        {"unheard_of": 1},
    ],
)
def test_settings_that_were_tampered_with_are_told_and_hide_no_other_run(settings, change):
    folder = diary(settings, "mine", "queued", "stopped")
    diary(settings, "other", "queued", "stopped")
    values = json.loads((folder / "config.json").read_text()) | {"architecture": "cnn"} | change
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelUnavailable, match="The settings of run 'mine' cannot be read"):
        runs.load_run("mine", settings)
    assert [run.run_id for run in runs.list_runs(settings)] == ["other"]


def test_a_clock_that_was_set_back_keeps_no_dead_run_waiting(settings):
    diary(settings, "mine", "queued", age=-3600)
    assert runs.load_run("mine", settings).status == "lost"


def test_the_seconds_of_training_are_those_of_the_last_step(settings):
    diary(settings, "mine", "queued", "started", "batch", "batch", "started", "stopped")
    assert runs.load_run("mine", settings).elapsed_s == 3
