"""Training on a Ray cluster: real machines' processes on loopback, one of which is killed."""

import dataclasses
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apptest import open_app, press, said
from click.testing import CliRunner
from filelock import FileLock
from ray_nodes import kill, run_cluster

from digit_core import cli, ray_cluster, runs, worker
from digit_core.diary import read_events
from digit_core.errors import InvalidConfig, StorageFailed, TrainingUnavailable
from digit_core.model_store import load_info
from digit_core.program import KEPT_FOR, share_program
from digit_core.run_queue import find_queue
from digit_core.settings import read_settings, to_environ
from digit_core.types import TrainConfig

CONFIG = TrainConfig("ann", dataset="synthetic", hidden_units=(64,), epochs=8)
LONG = dataclasses.replace(CONFIG, epochs=900)


def on(address):
    """The settings of a server whose runs train on a cluster."""
    return dataclasses.replace(read_settings(), ray_address=address)


@pytest.fixture(scope="module")
def cluster():
    with run_cluster(2, 2) as running:
        yield running


@pytest.fixture
def settings(cluster, bank):
    return on(cluster.address)


def wait_for(condition, seconds=240):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.2)
    return found


def status(run_id, settings):
    return runs.load_run(run_id, settings).status


def placed(run_id, settings):
    """The machines that a run was placed on, in turn."""
    events = read_events(settings.models / run_id)
    return [event.message for event in events if event.message.startswith("Placed on")]


def epochs(run_id, settings):
    return [event.epoch for event in read_events(settings.models / run_id) if event.kind == "epoch"]


def jobs_under_way(address):
    from ray.job_submission import JobSubmissionClient

    return [job for job in JobSubmissionClient(address).list_jobs() if not job.status.is_terminal()]


@pytest.mark.slow
@pytest.mark.cluster
def test_runs_train_on_all_machines_and_go_on_elsewhere_when_one_is_lost(cluster, settings):
    ids = [runs.start_run(CONFIG, settings) for _ in range(2)]
    first, second = (wait_for(lambda run_id=run_id: placed(run_id, settings)) for run_id in ids)
    assert first != second
    wait_for(lambda: all(epochs(run_id, settings) for run_id in ids))
    kill(cluster.nodes[1])
    wait_for(lambda: all(status(run_id, settings) not in runs.ACTIVE for run_id in ids))
    assert [status(run_id, settings) for run_id in ids] == ["finished"] * 2
    assert sorted(len(placed(run_id, settings)) for run_id in ids) == [1, 2]
    assert all(epochs(run_id, settings) == list(range(1, 9)) for run_id in ids)
    accuracies = [load_info(run_id, settings).test_accuracy for run_id in ids]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.002)


@pytest.mark.slow
@pytest.mark.cluster
def test_a_full_cluster_keeps_a_run_waiting_and_all_can_be_stopped(cluster, settings):
    busy = runs.start_run(LONG, settings)
    wait_for(lambda: epochs(busy, settings))
    extra = [runs.start_run(LONG, settings) for _ in cluster.nodes]  # one of which may find room
    wait_for(lambda: runs._is_held(settings.models / extra[-1] / "run.lock"))
    assert find_queue(settings)[-1] == extra[-1]
    for run_id in (busy, *extra):
        runs.stop_run(run_id, settings)
    wait_for(lambda: all(status(run_id, settings) == "stopped" for run_id in (busy, *extra)))
    wait_for(lambda: not jobs_under_way(cluster.address))


@pytest.mark.slow
@pytest.mark.cluster
def test_a_folder_that_the_cluster_does_not_see_is_told(cluster, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = dataclasses.replace(settings, models=Path("/proc/self/cwd/models"))  # of every process another one
    run_id = runs.start_run(CONFIG, mine)
    wait_for(lambda: status(run_id, mine) == "failed")
    assert "The cluster does not see the folder /proc/self/cwd/models" in read_events(mine.models / run_id)[-1].message
    assert not jobs_under_way(cluster.address)


@pytest.mark.slow
@pytest.mark.cluster
def test_a_cluster_of_machines_that_are_too_small_is_told(bank):
    with run_cluster(1) as small:
        settings = on(small.address)
        run_id = runs.start_run(CONFIG, settings)
        wait_for(lambda: status(run_id, settings) == "failed")
        message = read_events(settings.models / run_id)[-1].message
        assert "A training takes 2 processor cores, and no machine of the cluster lends more than 1" in message
        wait_for(lambda: not jobs_under_way(small.address))


def test_a_machine_that_does_not_see_the_folder_tells_so(monkeypatch):
    monkeypatch.setattr(worker, "name_machine", lambda: "here")
    with pytest.raises(TrainingUnavailable, match=r"A machine of the cluster \(here\) does not see the folder"):
        worker.train_placed("mine", read_settings())


def test_what_was_done_before_a_machine_was_lost_is_not_done_again(monkeypatch, mine):
    monkeypatch.setattr(worker, "name_machine", lambda: "here")
    worker.train_placed("mine", read_settings())
    assert not (mine / "events.jsonl").exists()


def test_a_lock_that_a_lost_machine_still_holds_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(worker, "LEASE", 0.1)
    monkeypatch.setattr(worker, "name_machine", lambda: "here")
    settings = read_settings()
    run_id = runs.create_run(CONFIG, settings)
    with (
        worker._training_lock(settings.models / run_id),
        pytest.raises(TrainingUnavailable, match="Resume it in some minutes"),
    ):
        worker.train_placed(run_id, settings)


@pytest.fixture
def deaf():
    """The address of what takes calls, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def stranger():
    """The address of a server that is no cluster."""
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Quiet(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("who", ["nobody", "stranger", "deaf"])
def test_an_address_where_no_cluster_answers_is_told_and_nothing_is_left(who, request, monkeypatch):
    monkeypatch.setattr(ray_cluster, "ANSWER_WAIT", 3.0)
    settings = on("http://127.0.0.1:9" if who == "nobody" else request.getfixturevalue(who))
    words = "What answers at {} did not take the training" if who == "stranger" else "No Ray cluster answers at {}"
    with pytest.raises(TrainingUnavailable, match=words.format(settings.ray_address)):
        runs.start_run(CONFIG, settings)
    assert runs.list_runs(settings) == []


def test_without_ray_the_page_says_so_and_nothing_can_be_pressed(monkeypatch):
    find = ray_cluster.importlib.util.find_spec
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    monkeypatch.setenv("DIGIT_LAB_RAY_ADDRESS", "http://127.0.0.1:9")
    page = open_app().switch_page("train.py").run()
    assert "Ray is not installed here. Run `pip install -r requirements-ray.txt`" in said(page)
    assert page.button(key="train").disabled
    with pytest.raises(TrainingUnavailable, match="Ray is not installed"):
        runs.start_run(CONFIG, on("http://127.0.0.1:9"))


def test_a_wrong_address_is_told_on_the_page_and_leaves_no_run(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_RAY_ADDRESS", "http://127.0.0.1:9")
    page = press(open_app().switch_page("train.py").run(), "Train")
    assert "No Ray cluster answers" in said(page)
    assert runs.list_runs(read_settings()) == []


@pytest.mark.parametrize("text", ["auto", "head:8265", "ray://head:10001", "http://", "http://a b", "http://h/path"])
def test_what_is_no_address_of_a_cluster_is_told(text):
    with pytest.raises(InvalidConfig, match="Set it to where the cluster takes jobs, like http://head:8265"):
        read_settings({"DIGIT_LAB_RAY_ADDRESS": text})


@pytest.mark.parametrize("text", ["http://head:8265", "https://ray.example.org/", "http://[::1]:8265"])
def test_an_address_travels_to_other_processes(text):
    settings = read_settings({"DIGIT_LAB_RAY_ADDRESS": text})
    assert settings.ray_address == text.rstrip("/")
    assert read_settings(to_environ(settings)).ray_address == settings.ray_address


@pytest.mark.parametrize(("dataset", "kept"), [("synthetic", ""), ("synthetic+feedback", "postgresql://me:secret@h/d")])
def test_a_database_address_is_given_to_the_cluster_only_where_it_is_needed(dataset, kept, monkeypatch):
    given = []
    monkeypatch.setattr(runs, "submit_run", lambda *words: given.append(words[3]))
    settings = dataclasses.replace(on("http://head:8265"), database_url="postgresql://me:secret@h/d")
    runs.start_run(dataclasses.replace(CONFIG, dataset=dataset), settings)
    assert given[0]["DIGIT_LAB_DATABASE_URL"] == kept


def test_what_a_job_fails_of_before_its_run_begins_is_the_runs_end(monkeypatch):
    told = []
    monkeypatch.setattr(runs, "submit_run", lambda *words: told.append(words[4]))
    settings = on("http://head:8265")
    run_id = runs.start_run(CONFIG, settings)
    told[0]("Ray could not start the training: no space.")
    told[0]("Again.")
    other = runs.start_run(CONFIG, settings)
    with FileLock(settings.models / other / "run.lock"):
        told[1]("Its second job failed, for its first one waits.")
        assert status(other, settings) == "queued"
    assert status(run_id, settings) == "failed"
    assert read_events(settings.models / run_id)[-1].message == "Ray could not start the training: no space."


def test_nothing_but_what_trains_lies_beside_the_runs_for_the_cluster():
    program = share_program(read_settings())
    assert {path.name for path in program.iterdir()} == {"digit_core", "models"}
    assert {path.name for path in (program / "models").iterdir()} == {"ann", "cnn"}
    assert not list(program.rglob("__pycache__"))


def test_a_version_of_the_program_is_copied_once_and_old_ones_go():
    settings = read_settings()
    program = share_program(settings)
    (program / "mark").touch()
    for name, age in (("old", KEPT_FOR + 9), ("newer", KEPT_FOR - 9)):
        (program.parent / name).mkdir()
        os.utime(program.parent / name, (time.time() - age,) * 2)
    assert share_program(settings) == program and (program / "mark").exists()
    assert {path.name for path in program.parent.iterdir()} == {program.name, "newer"}


def test_two_servers_that_copy_the_program_at_once_both_have_it():
    settings = read_settings()
    with ThreadPoolExecutor(4) as servers:
        assert len({*servers.map(lambda _: share_program(settings), range(4))}) == 1


def test_a_program_that_cannot_be_copied_is_told_and_leaves_no_run(tmp_path):
    settings = on("http://127.0.0.1:9")
    settings.models.mkdir(parents=True)
    (settings.models / ".program").write_text("a file where the folder should be")
    with pytest.raises(StorageFailed):
        runs.start_run(CONFIG, settings)
    assert runs.list_runs(settings) == []


def test_what_is_typed_trains_where_it_is_typed(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_RAY_ADDRESS", "http://127.0.0.1:9")
    given = []
    monkeypatch.setattr(cli, "execute_run", lambda run_id, settings, tell: given.append(settings.ray_address))
    done = CliRunner().invoke(cli.main, ["train", "--architecture", "ann", "--dataset", "synthetic", "--id", "mine"])
    assert done.exit_code == 0 and given == [None]
    CliRunner().invoke(cli.main, ["train", "--resume", "mine", "--queued"])
    assert given == [None, "http://127.0.0.1:9"]
