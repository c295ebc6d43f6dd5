"""Runs on the train page without a browser: while they wait, train, and have ended."""

import re
import shutil
import time

import pytest
from apptest import draw, open_app, press, said
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from digit_core import runs
from digit_core.diary import append_event
from digit_core.model_store import load_default, to_json
from digit_core.settings import read_settings
from digit_core.types import TrainConfig, TrainEvent


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_a_run_waits_for_its_turn_and_can_be_stopped(train, keep_run):
    busy = keep_run("cnn-busy", "queued", "started")
    with FileLock(busy.parent / "turn-1.lock"), FileLock(busy / "run.lock"):
        press(train, "Train")
        assert "queued" in said(train)
        assert "Waiting for its turn" in said(train)
        press(train, "Stop")
        deadline = time.monotonic() + 120
        while "Stopped before its end" not in said(train.run()) and time.monotonic() < deadline:
            time.sleep(0.2)
    assert "Stopped before its end" in said(train)
    assert not [button for button in train.button if button.label == "Stop"]


def test_a_finished_run_is_shown_with_its_accuracy_and_its_curves(app, keep_run):
    keep_run("cnn-done", "queued", "started", "batch", "epoch", "finished", message="97.50 % of 2,000 test images")
    app.switch_page("train.py").run()
    assert "cnn-done: finished" in said(app)
    assert "97.50 % of 2,000 test images" in said(app)
    assert charts(app) == 2


def test_a_failed_run_is_shown_with_its_reason(app, keep_run):
    keep_run("cnn-bad", "queued", "failed", message="MNIST could not be downloaded.")
    app.switch_page("train.py").run()
    assert "Failed: MNIST could not be downloaded." in said(app)


def test_a_stopped_run_is_shown_as_such(app, keep_run):
    keep_run("cnn-halt", "queued", "started", "batch", "stopped")
    app.switch_page("train.py").run()
    assert "Stopped before its end" in said(app)
    assert charts(app) == 2


def test_a_run_whose_process_is_gone_is_shown_as_lost(app, keep_run):
    keep_run("cnn-gone", "queued", "started", "batch")
    app.switch_page("train.py").run()
    assert "Its process has ended unexpectedly" in said(app)


def test_a_queued_run_is_shown_as_waiting(app, keep_run):
    keep_run("cnn-wait", "queued", age=0.0)
    app.session_state["watched_run"] = "cnn-wait"
    with FileLock(keep_run("cnn-busy", "queued", "started") / "run.lock"):
        app.switch_page("train.py").run()
    assert re.search(r"Waiting for its turn: place 1 of 1, about .+ until it starts", said(app))


@pytest.mark.parametrize(
    ("age", "sentence"),
    [(0.0, "Starting its process"), (30.0, "Waiting for room on the cluster, which is full: this run is the next")],
)
def test_who_is_next_on_a_cluster_waits_for_room_there(app, keep_run, monkeypatch, age, sentence):
    monkeypatch.setenv("DIGIT_LAB_RAY_ADDRESS", "http://head:8265")
    busy, waiting = keep_run("busy", "queued", "started"), keep_run("cnn-wait", "queued", age=age)
    app.session_state["watched_run"] = "cnn-wait"
    with FileLock(busy / "run.lock"), FileLock(waiting / "run.lock"):
        app.switch_page("train.py").run()
        assert sentence in said(app)


def test_a_visitor_is_told_that_one_run_trains_at_a_time(train, keep_run):
    train.session_state["session_id"] = "me"
    first, second = keep_run("mine", "queued"), keep_run("mine-2", "queued")
    for folder in (first, second):
        (folder / "events.jsonl").unlink()
        append_event(folder, TrainEvent("queued", time.time(), owner="me"))
    append_event(first, TrainEvent("started", time.time(), eta_s=60.0))
    train.session_state["watched_run"] = "mine-2"
    with FileLock(first / "run.lock"):
        assert "One run of yours trains at a time" in said(train.run())


def test_a_run_that_starts_shows_that_it_gets_ready(app, keep_run):
    folder = keep_run("cnn-start", "queued", "started")
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert "Getting ready" in said(app)


def test_what_goes_on_before_and_after_the_epochs_has_its_place_in_the_bar_and_the_time_left(app, keep_run):
    folder = keep_run("cnn-ends", "queued", "started", age=91.0)
    judging = TrainEvent("started", time.time(), eta_s=30.2, message="Learning to tell digits", share=0.4)
    append_event(folder, judging)
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert app.progress[0].value == 74  # 90 s of about 120
    assert app.progress[0].text == "Learning to tell digits: 40\N{NO-BREAK SPACE}%, about 30 s left"


def test_time_goes_by_between_two_words_of_a_run(app, keep_run):
    folder = keep_run("cnn-ends", "queued", "started", age=91.0)
    append_event(folder, TrainEvent("started", time.time() - 20, eta_s=30.2, message="Starting TensorFlow"))
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert app.progress[0].text == "Starting TensorFlow, about 10 s left"


def test_a_running_run_is_shown_with_its_progress_and_can_be_stopped(app, keep_run):
    folder = keep_run("cnn-busy", "queued", "started", "batch")
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
        assert "Epoch 1 of 2, batch 5 of 10" in said(app)
        assert app.progress[0].value == 25
        press(app, "Stop")
    assert (folder / "stop").exists()


def test_a_run_that_is_under_way_is_shown_before_newer_ones(app, keep_run):
    folder = keep_run("cnn-busy", "queued", "started", "batch")
    keep_run("cnn-newer", "queued", "failed", message="It fell.")
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert "cnn-busy: running" in said(app)


def test_a_diary_whose_last_line_was_cut_short_is_shown(app, keep_run):
    folder = keep_run("cnn-cut", "queued", "started", "batch", "stopped")
    with (folder / "events.jsonl").open("a", encoding="utf-8") as diary:
        diary.write('{"kind": "bat')
    app.switch_page("train.py").run()
    assert "Stopped before its end" in said(app)


def test_a_run_whose_settings_cannot_be_read_does_not_hide_the_others(app, keep_run):
    keep_run("cnn-halt", "queued", "stopped")
    (keep_run("cnn-torn", "queued", "stopped") / "config.json").write_text("{")
    app.switch_page("train.py").run()
    assert "cnn-halt: stopped" in said(app)
    assert app.dataframe[0].value["run"].tolist() == ["cnn-halt"]


def test_a_run_that_was_asked_to_stop_says_so(app, keep_run):
    folder = keep_run("cnn-busy", "queued", "started", "batch")
    (folder / "stop").touch()
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert "Stopping" in said(app)
    assert not [button for button in app.button if button.label == "Stop"]


@pytest.mark.parametrize("end", ["stopped", "failed", "batch"])
def test_what_ended_early_is_resumed(app, keep_run, monkeypatch, end):
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: None)
    keep_run("cnn-halt", "queued", "started", "epoch", end)
    app.switch_page("train.py").run()
    assert "Resume goes on after epoch 1" in said(app)
    press(app, "Resume")
    assert "cnn-halt: queued" in said(app)
    assert "Starting its process" in said(app)


def test_a_lost_run_shows_what_its_process_said_last(app, keep_run):
    (keep_run("cnn-gone", "queued", "started") / "worker.log").write_text("Killed by the system.")
    app.switch_page("train.py").run()
    assert app.code[0].value == "Killed by the system."


def test_a_deleted_run_can_be_brought_back(app, keep_run):
    keep_run("cnn-halt", "queued", "stopped")
    app.switch_page("train.py").run()
    press(app, "Delete")
    assert "cnn-halt is deleted" in said(app)
    assert "Press Train" in said(app)
    press(app, "Undo")
    assert "cnn-halt: stopped" in said(app)


def test_the_settings_of_a_run_are_taken_into_the_form(app, keep_run):
    keep_run("cnn-halt", "queued", "stopped")
    app.switch_page("train.py").run()
    press(app, "Duplicate")
    assert app.number_input(key="epochs").value == 2
    assert app.segmented_control(key="base").value == "synthetic"
    assert app.selectbox(key="teacher_id").value == "No teacher"


@pytest.mark.parametrize(("teacher", "kept"), [("ann", "ann"), ("gone", "No teacher")])
def test_a_teacher_is_taken_into_the_form_while_it_is_there(app, keep_run, teacher, kept):
    folder = keep_run("cnn-halt", "queued", "stopped")
    (folder / "config.json").write_bytes(to_json(TrainConfig(dataset="synthetic", teacher_id=teacher)))
    app.switch_page("train.py").run()
    press(app, "Duplicate")
    assert app.selectbox(key="teacher_id").value == kept


def test_a_finished_model_is_drawn_with(app, trained, handwriting):
    app.switch_page("train.py").run()
    press(app, "Draw with it now")
    assert app.title[0].value == "Draw a digit"
    assert app.multiselect(key="readers").value == [trained, "cnn"]
    app.switch_page("draw.py").run()  # AppTest itself does not follow
    assert draw(app, handwriting[3]).metric[0].label == "mine reads"


def test_a_finished_model_reads_where_no_other_is_named(app, trained):
    app.switch_page("train.py").run()
    press(app, "Use this model")
    assert load_default(read_settings()) == trained
    assert not [button for button in app.button if button.label.startswith("Use this model")]
    assert open_app().multiselect(key="readers").value == [trained, "cnn"]


def test_a_model_that_everybody_uses_goes_before_the_one_tried_before(app, trained, keep_run):
    app.session_state["first_reader"] = "ann"
    app.switch_page("train.py").run()
    press(app, "Use this model")
    app.switch_page("draw.py").run()
    assert app.multiselect(key="readers").value == [trained, "cnn"]


def test_who_read_with_a_deleted_model_alone_reads_with_the_others(trained, handwriting):
    app = open_app()
    app.multiselect(key="readers").set_value([trained]).run()
    runs.delete_run(trained, read_settings())
    draw(app, handwriting[3])
    assert [metric.label for metric in app.metric] == ["CNN reads", "ANN reads"]


def test_a_finished_run_shows_its_figures(app, trained):
    app.switch_page("train.py").run()
    assert {metric.label for metric in app.metric} == {"Test accuracy", "Test loss", "Parameters", "Size"}
    assert charts(app) == 3


def test_a_damaged_model_is_told_where_its_run_is_shown(app, trained):
    (read_settings().models / trained / "evaluation.json").write_text("{}")
    app.switch_page("train.py").run()
    assert "was changed after training" in said(app)


def test_several_runs_are_laid_over_each_other(app, keep_run):
    for run_id in ("cnn-a", "cnn-b"):
        keep_run(run_id, "queued", "started", "epoch", "stopped")
    app.session_state[f"history_{hash(('cnn-b', 'cnn-a'))}"] = {
        "selection": {"rows": [0, 1], "columns": [], "cells": []}
    }
    app.switch_page("train.py").run()
    assert "Compared" in [header.value for header in app.header]
    assert charts(app) == 4


def test_missing_pictures_are_no_proof_of_a_faultless_model(app, trained):
    app.switch_page("train.py").run()
    assert "made no mistake" not in said(app)


def test_what_went_wrong_stays_until_something_else_is_pressed(app, keep_run):
    folder = keep_run("cnn-halt", "queued", "stopped")
    app.switch_page("train.py").run()
    with FileLock(folder / "run.lock"):
        runs.requeue("cnn-halt", read_settings())
        press(app, "Delete")
        assert "needs no second start" in said(app) or "is under way" in said(app)
        app.run()
        assert "is under way" in said(app)
        press(app, "Duplicate")
        assert "is under way" not in said(app)


def test_a_watched_run_that_was_taken_away_gives_way_to_another(app, keep_run):
    keep_run("cnn-halt", "queued", "stopped")
    shutil.rmtree(keep_run("cnn-gone", "queued", "stopped"))
    app.session_state["watched_run"] = "cnn-gone"
    app.switch_page("train.py").run()
    assert "cnn-halt: stopped" in said(app)
