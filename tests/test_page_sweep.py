"""Sweeps on the train page, without a browser."""

import time

import pytest
import streamlit as st
from apptest import press, said
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from digit_core import runs
from digit_core.diary import append_event
from digit_core.sweeps import list_sweeps
from digit_core.types import TrainEvent


@pytest.fixture
def train(app: AppTest, monkeypatch) -> AppTest:
    """The page; no process is started."""
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: None)
    app.switch_page("train.py").run()
    app.segmented_control(key="base").set_value("synthetic").run()
    return app.segmented_control(key="architecture").set_value("ann").run()


def plan(page, **values):
    """Say in what the runs differ."""
    page.multiselect(key="varied").set_value(list(values)).run()
    for name, text in values.items():
        page.text_input(key=f"try_{name}").set_value(text)
    return page.run()


def start(page, **values):
    return press(plan(page, **values), "Start the sweep")


def told(settings, run_id, *accuracies, end=""):
    folder = settings.models / run_id
    append_event(folder, TrainEvent("started", time.time()))
    for epoch, accuracy in enumerate(accuracies, 1):
        append_event(folder, TrainEvent("epoch", time.time(), epoch, 9, 9, {"val_accuracy": accuracy}, float(epoch)))
    if end:
        append_event(folder, TrainEvent(end, time.time()))


def test_before_something_differs_nothing_can_be_started(train):
    assert train.button(key="start_sweep").disabled
    train.multiselect(key="varied").set_value(["dropout"]).run()
    assert train.button(key="start_sweep").disabled


def test_a_grid_is_told_and_started(train, settings):
    plan(train, learning_rate="0.001, 0.004", hidden_units="32; 64, 32")
    assert "4 runs: in turn, about" in said(train)
    train.toggle(key="prune").set_value(True)
    train.number_input(key="minutes").set_value(5)
    train.text_input(key="sweep_name").set_value("Rates")
    press(train, "Start the sweep")
    (sweep,) = list_sweeps(settings)
    assert (sweep.sweep_id, sweep.varied, sweep.prune, sweep.time_s) == (
        "rates",
        ("learning_rate", "hidden_units"),
        True,
        300.0,
    )
    assert len(sweep.run_ids) == 4 and "0 of 4 runs are over" in said(train)
    owners = {run.owner for run in runs.list_runs(settings)}
    assert owners == {train.session_state["session_id"]}


def test_the_second_press_of_a_double_click_starts_nothing(train, settings):
    plan(train, dropout="0, 0.1")
    press(press(train, "Start the sweep"), "Start the sweep")
    assert len(list_sweeps(settings)) == 1


def test_a_sample_is_drawn_from_ranges(train, settings):
    train.number_input(key="drawn").set_value(3)
    start(train, learning_rate="0.001..0.01")
    assert len(list_sweeps(settings)[0].run_ids) == 3


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"learning_rate": "much"}, "What learning rate is to be is 'much'. Write it like"),
        ({"learning_rate": "0.1"}, "That is a single run. Write more values, or train it alone."),
        ({"learning_rate": "0.1..0.2"}, "Say how many runs are drawn from it"),
        ({"dropout": "0.1, 5"}, "The dropout is 5.0"),
        ({"epochs": ",".join(map(str, range(1, 40)))}, "These values make 39 runs"),
    ],
)
def test_what_cannot_be_tried_is_told_and_not_started(values, sentence, train):
    assert sentence in said(plan(train, **values))
    assert train.button(key="start_sweep").disabled


def test_what_a_kind_of_network_does_not_read_is_not_offered(train):
    assert "filters" not in train.multiselect(key="varied").options
    plan(train, hidden_units="32; 64")
    train.segmented_control(key="architecture").set_value("cnn").run()
    assert train.multiselect(key="varied").value == []
    assert "Filters" in train.multiselect(key="varied").options


def test_the_best_is_named_with_its_interval_and_used(train, settings):
    train.text_input(key="sweep_name").set_value("s")
    start(train, dropout="0, 0.1, 0.2")
    told(settings, "s-1", 0.9, 0.95, end="finished")
    told(settings, "s-2", 0.9, 0.952, end="finished")
    told(settings, "s-3", 0.99, end="stopped")
    st.cache_data.clear()
    train.run()
    words = "\n".join(each.value for each in train.markdown)
    assert "**s-2** is the best: 95.20\N{NO-BREAK SPACE}% of 2,500 validation images right (95 % interval" in words
    assert "One other may be as good" in words
    assert train.dataframe[0].value["run"].tolist() == ["s-3", "s-2", "s-1"]
    assert train.dataframe[0].value["Dropout"].tolist() == ["0.2", "0.1", "0"]
    train.button(key="best_draw").click().run()
    assert train.title[0].value == "Draw a digit"


def test_a_sweep_is_stopped_as_a_whole(train, settings):
    start(train, dropout="0, 0.1")
    (sweep,) = list_sweeps(settings)
    press(train, "Stop all")
    assert all(runs.is_stopping(run_id, settings) for run_id in sweep.run_ids)


def test_another_visitor_does_not_stop_it_where_a_password_is_set(train, settings, monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_ADMIN_PASSWORD", "open sesame")
    start(train, dropout="0, 0.1")
    train.session_state["own_runs"] = {}
    press(train.run(), "Stop all")
    (sweep,) = list_sweeps(settings)
    assert not any(runs.is_stopping(run_id, settings) for run_id in sweep.run_ids)


def test_why_a_run_was_stopped_is_told(train, settings):
    train.text_input(key="sweep_name").set_value("s")
    start(train, dropout="0, 0.1")
    folder = settings.models / "s-1"
    append_event(folder, TrainEvent("stopped", time.time(), message="The time of its sweep is over."))
    train.session_state["watched_run"] = "s-1"
    assert "The time of its sweep is over. Resume starts it again." in said(train.run())


def test_several_sweeps_are_chosen_from(train, settings):
    for name in ("one", "two"):
        train.session_state["pressed_at"] = -10.0
        train.text_input(key="sweep_name").set_value(name)
        start(train, dropout="0, 0.1")
    assert train.selectbox(key="watched_sweep").value == "two"
    train.selectbox(key="watched_sweep").set_value("one").run()
    assert "one-1" in train.dataframe[0].value["run"].tolist()


def test_a_sweep_whose_runs_are_deleted_one_by_one_stays_readable(train, settings):
    train.text_input(key="sweep_name").set_value("s")
    start(train, dropout="0, 0.1")
    told(settings, "s-1", 0.9, end="stopped")
    runs.delete_run("s-1", settings)
    st.cache_data.clear()
    assert "s-1" not in train.run().dataframe[0].value["run"].tolist()
    with FileLock(settings.models / "s-2" / "run.lock"):
        assert "0 of 1 runs are over" in said(train.run())
