"""The queue of runs: who is next, who waits for whom, and how long."""

import dataclasses
import re
import threading
import time

import pytest
from apptest import open_app, press, said
from filelock import FileLock

from digit_core import runs, worker
from digit_core.diary import append_event
from digit_core.presets import forecast
from digit_core.run_queue import count_before, find_places, find_queue
from digit_core.types import TrainConfig, TrainEvent

CONFIG = TrainConfig("ann", dataset="synthetic", hidden_units=(32,), epochs=1)
VISITORS = 20


@pytest.fixture
def line(settings):
    """Put a run into the queue, or let it train with so many seconds left, as if its process lived."""
    held = []

    def stand(run_id, owner="", sweep="", left=None, age=0.0):
        runs.create_run(CONFIG, settings, run_id, owner=owner, sweep=sweep)
        folder = settings.models / run_id
        (folder / "events.jsonl").unlink()
        append_event(folder, TrainEvent("queued", time.time() - age, owner=owner, sweep=sweep))
        if left is not None:
            append_event(folder, TrainEvent("started", time.time(), eta_s=left))
        held.append(FileLock(folder / "run.lock"))
        held[-1].acquire()
        return folder

    yield stand
    for lock in held:
        lock.release()


def test_the_order_is_that_of_arrival(line, settings):
    for age, run_id in ((30, "second"), (50, "first"), (10, "third")):
        line(run_id, age=age)
    assert find_queue(settings) == ["first", "second", "third"]


def test_who_has_died_waits_no_more(line, settings):
    for age, run_id in ((50, "first"), (30, "second")):
        append_event(line(run_id, age=age), TrainEvent("failed", time.time()))
    line("third")
    assert find_queue(settings) == ["third"]


def test_the_second_run_of_a_visitor_comes_after_the_first_ones_of_others(line, settings):
    for age, (run_id, owner) in enumerate([("theirs", "you"), ("mine-3", "me"), ("mine-2", "me"), ("mine", "me")]):
        line(run_id, owner, age=age)
    assert find_queue(settings) == ["mine", "theirs", "mine-2", "mine-3"]


def test_who_was_served_just_now_comes_after_who_has_waited_meanwhile(line, settings):
    append_event(line("mine", "me", left=0.0, age=60), TrainEvent("stopped", time.time()))
    line("mine-2", "me", age=50)
    line("theirs", "you", age=10)
    assert find_queue(settings) == ["theirs", "mine-2"]


def test_of_one_visitor_one_run_trains_at_a_time_whoever_waits(line, settings):
    line("mine", "me", left=9.0)
    line("mine-2", "me", age=20)
    assert count_before("mine-2", settings) == 1
    line("theirs", "you")
    assert find_queue(settings) == ["theirs", "mine-2"]
    assert [count_before(run_id, settings) for run_id in ("theirs", "mine-2")] == [0, 2]


def test_runs_of_a_sweep_train_beside_each_other_where_nobody_else_waits(line, settings):
    line("s-1", "me", "s", left=9.0)
    line("s-2", "me", "s", age=30)
    assert count_before("s-2", settings) == 0
    line("theirs", "you")
    assert find_queue(settings) == ["theirs", "s-2"]


def test_a_run_that_is_no_part_of_a_sweep_does_not_train_beside_it(line, settings):
    line("s-1", "me", "s", left=9.0)
    line("mine", "me")
    assert count_before("mine", settings) == 1


def test_runs_from_the_command_line_are_nobodys_and_wait_for_nobody(line, settings):
    line("one", left=9.0)
    line("two", age=20)
    line("three", age=10)
    assert [count_before(run_id, settings) for run_id in ("two", "three")] == [0, 1]


def test_what_does_not_wait_is_behind_all_who_do(line, settings):
    assert count_before("gone", settings) == 1
    line("mine")
    assert count_before("gone", settings) == 2


def test_a_place_tells_how_long_it_takes_until_the_start(line, settings):
    line("busy", "you", left=30.0)
    line("first", "me", age=9)
    line("second", "them")
    places = find_places(settings)
    assert [places[run_id][:2] for run_id in ("first", "second")] == [(1, 2), (2, 2)]
    assert places["first"].seconds == pytest.approx(30, abs=1)
    assert places["second"].seconds == pytest.approx(30 + sum(forecast(CONFIG, settings)), abs=1)


def test_with_two_turns_the_wait_is_for_whichever_ends_first(line, settings):
    settings = dataclasses.replace(settings, parallel_runs=2)
    line("long", "a", left=90.0)
    line("short", "b", left=10.0)
    line("next", "c")
    assert find_places(settings)["next"].seconds == pytest.approx(10, abs=1)


def test_who_waits_for_a_run_of_their_own_is_told_so(line, settings):
    settings = dataclasses.replace(settings, parallel_runs=2)
    line("mine", "me", left=60.0)
    line("mine-2", "me")
    place = find_places(settings)["mine-2"]
    assert place.behind_own and place.seconds == pytest.approx(60, abs=1)


def test_a_sweep_waits_for_a_run_of_the_same_visitor_that_is_no_part_of_it(line, settings):
    settings = dataclasses.replace(settings, parallel_runs=2)
    line("mine", "me", left=60.0)
    line("s-1", "me", "s")
    place = find_places(settings)["s-1"]
    assert place.behind_own and place.seconds == pytest.approx(60, abs=1)


def test_runs_of_a_sweep_do_not_wait_for_each_other(line, settings):
    settings = dataclasses.replace(settings, parallel_runs=2)
    line("s-1", "me", "s", left=60.0)
    line("s-2", "me", "s")
    assert find_places(settings)["s-2"] == (1, 1, 0.0, False)


def test_a_cluster_is_taken_for_full_with_what_trains_there(line, settings):
    settings = dataclasses.replace(settings, parallel_runs=4, ray_address="http://head:8265")
    line("busy", "a", left=60.0)
    for age, run_id in ((9, "next"), (5, "last")):
        line(run_id, run_id, age=age)
    places = find_places(settings)
    assert places["next"].seconds == pytest.approx(60, abs=1)
    assert places["last"].seconds > 60


def test_who_takes_back_a_run_that_never_trained_keeps_the_place_of_the_other(line, settings):
    append_event(line("mine", "me", age=60), TrainEvent("stopped", time.time()))
    line("mine-2", "me", age=50)
    line("theirs", "you", age=10)
    assert find_queue(settings) == ["mine-2", "theirs"]


def test_a_free_turn_is_no_wait(line, settings):
    line("mine", "me")
    assert find_places(settings) == {"mine": (1, 1, 0.0, False)}


def test_a_resumed_run_is_still_its_visitors(line, settings, monkeypatch):
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: None)
    folder = line("mine", "me", "s")
    append_event(folder, TrainEvent("stopped", time.time()))
    runs.resume_run("mine", settings)
    run = runs.load_run("mine", settings)
    assert (run.status, run.owner, run.sweep) == ("queued", "me", "s")


@pytest.mark.parametrize("turns", [1, 3])
def test_twenty_visitors_with_two_runs_each_all_get_their_turn_and_nobody_two(settings, monkeypatch, turns):
    settings = dataclasses.replace(settings, parallel_runs=turns)
    monkeypatch.setattr(worker, "POLL", 0.01)
    monkeypatch.setattr(worker, "LONGEST_POLL", 0.1)
    training, order, most, counting = set(), [], [], threading.Lock()

    def train(folder, settings, *rest):
        owner = runs.load_run(folder.name, settings).owner
        with counting:
            assert owner not in training
            training.add(owner)
            order.append(folder.name)
            most.append(len(training))
        append_event(folder, TrainEvent("started", time.time()))
        time.sleep(0.02)
        with counting:
            training.remove(owner)

    monkeypatch.setattr(worker, "_train", train)
    visitors = [f"v{number:02}" for number in range(VISITORS)]
    ids = [
        runs.create_run(CONFIG, settings, f"{owner}-{number}", owner=owner) for owner in visitors for number in (1, 2)
    ]
    threads = [
        threading.Thread(target=worker.execute_run, args=(run_id, settings, lambda event: None)) for run_id in ids
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert {runs.load_run(run_id, settings).status for run_id in ids} == {"stopped"}  # what trained made no model
    assert order[:VISITORS] == [f"{owner}-1" for owner in visitors]
    assert sorted(order[VISITORS:]) == [f"{owner}-2" for owner in visitors]
    assert max(most) <= turns


@pytest.mark.slow
def test_visitors_who_press_train_see_their_place_and_are_served_in_their_order(settings, bank, thorough):
    count = VISITORS if thorough else 7
    visitors = [open_app().switch_page("train.py").run() for _ in range(count)]
    for visitor in visitors:
        visitor.session_state["architecture"], visitor.session_state["hidden_units"] = "ann", "16"
        visitor.session_state["epochs"] = 1
        press(visitor.run(), "Train")
    ids = [visitor.session_state["watched_run"] for visitor in visitors]
    places = [re.search(r"place (\d+) of \d+, about .+ until it starts", said(visitor.run())) for visitor in visitors]
    told = [int(place[1]) for place in places if place]
    assert len(told) >= count - 3 and told == sorted(told)
    served = []
    end = time.monotonic() + 300
    while not served:
        assert time.monotonic() < end
        time.sleep(0.2)
        statuses = {run_id: runs.load_run(run_id, settings).status for run_id in ids}
        served, running = ([run_id for run_id in ids if statuses[run_id] == each] for each in ("finished", "running"))
        assert len(running) <= settings.parallel_runs and [*served, *running] == ids[: len(served) + len(running)]
    for visitor in visitors[len(served) + 1 :]:
        press(visitor.run(), "Stop")
    while any(runs.load_run(run_id, settings).status in runs.ACTIVE for run_id in ids[len(served) + 1 :]):
        assert time.monotonic() < end
        time.sleep(0.2)
    assert "Stopped before its end" in said(visitors[-1].run())
    runs.stop_run(ids[len(served)], settings)
