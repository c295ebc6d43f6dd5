"""The pages without a browser: what they show and store when people draw, judge and train."""

import dataclasses
import importlib.util
import math
import shutil
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import streamlit as st
from filelock import FileLock
from streamlit.testing.v1 import AppTest

from digit_core import datasets, downloads, model_store, runs
from digit_core.feedback import FeedbackStore
from digit_core.feedback_stats import FeedbackStats
from digit_core.model_store import load_default, to_json
from digit_core.presets import CONFIGS, PRESETS
from digit_core.settings import ROOT, STARTERS, read_settings
from digit_core.strokes import sketch
from digit_core.types import Drawing, Feedback, TrainConfig

Handwriting = dict[int, tuple[np.ndarray, ...]]
SIDE = 200  # canvas pixels, the size of what is drawn


def open_app() -> AppTest:
    return AppTest.from_file(ROOT / "pages" / "_router.py", default_timeout=60).run()


@pytest.fixture
def app() -> AppTest:
    return open_app()


def path_of(stroke: np.ndarray, **changes: Any) -> dict[str, Any]:
    """A stroke as the canvas sends it."""
    points = stroke * SIDE + 40
    left, top = (points.min(axis=0) + points.max(axis=0)) / 2
    commands = [["L" if number else "M", *point] for number, point in enumerate(points.tolist())]
    turned = {"scaleX": 1, "scaleY": 1, "angle": 0, "flipX": False, "flipY": False}
    return {"type": "Path", "path": commands, "strokeWidth": 20, "left": left, "top": top, **turned, **changes}


def send(app: AppTest, json_data: Any) -> AppTest:
    """Let the canvas send something."""
    app.session_state[f"canvas_{app.session_state['canvas_number']}"] = {"drawing": {"raw": json_data, "data": None}}
    return app.run()


def draw(app: AppTest, strokes: Sequence[np.ndarray]) -> AppTest:
    return send(app, {"objects": [path_of(stroke) for stroke in strokes], "background": "#000000"})


def press(app: AppTest, label: str) -> AppTest:
    buttons = [button for button in app.button if button.label.startswith(label)]
    assert buttons, f"no button {label!r} on the page"
    return buttons[0].click().run()


def answers(app: AppTest) -> list[str]:
    """The digits that are shown as answers."""
    assert not app.exception
    return [metric.value for metric in app.metric if metric.label.endswith("reads")]


def strokes_left(app: AppTest) -> int:
    return len(app.session_state["drawing"]["objects"])


def said(app: AppTest) -> str:
    """All sentences on the page."""
    assert not app.exception
    elements = (*app.error, *app.warning, *app.info, *app.success, *app.subheader, *app.caption)
    return "\n".join([str(element.value) for element in elements] + [element.text for element in app.progress])


def stats() -> FeedbackStats:
    """What the database holds, read past the page."""
    store = FeedbackStore(read_settings().database_url)
    try:
        return store.stats()
    finally:
        store.close()


def totals(app: AppTest) -> list[str]:
    """Drawings judged, share read right and drawings misread, as the feedback page shows them."""
    app.switch_page("feedback.py").run()
    assert not app.exception
    return [metric.value for metric in app.metric[:3]]


# The draw page


def test_an_empty_canvas_invites_and_shows_no_answer(app):
    assert answers(app) == []
    assert "Draw a digit" in app.info[0].value


@pytest.mark.parametrize("digit", range(10))
def test_a_drawing_is_read_by_both_models(app, handwriting, digit):
    assert answers(draw(app, handwriting[digit])) == [str(digit)] * 2
    assert "disagree" not in said(app)


def test_the_pen_does_not_change_the_answer(app, handwriting):
    def figures(page):
        return [text.value for text in page.markdown if "%" in text.value]

    confidences = figures(draw(app, handwriting[3]))
    thick = [path_of(stroke, strokeWidth=40) for stroke in handwriting[3]]
    assert figures(send(app, {"objects": thick})) == confidences
    assert len(confidences) == 2


def test_a_stroke_that_was_moved_and_turned_is_read_where_it_is_seen(app, handwriting):
    turned = [path_of(stroke, angle=180, left=60, top=60, scaleX=0.3, scaleY=0.3) for stroke in handwriting[6]]
    assert answers(send(app, {"objects": turned})) == ["9", "9"]


def test_with_live_reading_off_an_answer_waits_for_classify(app, handwriting):
    app.toggle(key="live").set_value(False).run()
    assert answers(draw(app, handwriting[2])) == []
    assert answers(press(app, "Classify")) == ["2", "2"]


def test_with_live_reading_off_drawing_on_takes_the_old_answer_away(app, handwriting):
    app.toggle(key="live").set_value(False).run()
    press(draw(app, handwriting[4][:1]), "Classify")
    assert answers(draw(app, handwriting[4])) == []


def test_clear_answer_leaves_the_drawing(app, handwriting):
    press(draw(app, handwriting[4][:1]), "Clear answer")
    assert answers(app) == []
    assert strokes_left(app) == 1
    assert answers(draw(app, handwriting[4])) == ["4", "4"]


def test_undo_takes_the_last_stroke_away(app, handwriting):
    press(draw(app, [*handwriting[7], *handwriting[1]]), "Undo")
    assert strokes_left(app) == 1
    assert answers(app) == ["7", "7"]


def test_clear_empties_the_canvas_and_undo_brings_the_drawing_back(app, handwriting):
    press(draw(app, handwriting[4]), "Clear")
    assert (answers(app), strokes_left(app)) == ([], 0)
    press(app, "Undo")
    assert (answers(app), strokes_left(app)) == (["4", "4"], 2)


def test_undo_and_clear_leave_an_empty_canvas_as_it_is(app):
    for label in ("Clear", "Undo"):
        press(app, label)
    assert (answers(app), strokes_left(app)) == ([], 0)


def test_the_drawing_survives_a_change_of_page(app, handwriting):
    draw(app, handwriting[5])
    for page in ("train.py", "feedback.py", "draw.py"):
        app.switch_page(page).run()
    assert (answers(app), strokes_left(app)) == (["5", "5"], 2)


def test_what_was_drawn_on_after_a_change_of_page_survives_the_next(app, handwriting):
    draw(app, handwriting[4][:1]).switch_page("train.py").run().switch_page("draw.py").run()
    draw(app, handwriting[4]).switch_page("feedback.py").run().switch_page("draw.py").run()
    assert (answers(app), strokes_left(app)) == (["4", "4"], 2)


BROKEN = {
    "a coordinate that is no number": {"objects": [path_of(np.array([[0, 0], [math.nan, 1]]))]},
    "an infinite coordinate": {"objects": [path_of(np.array([[0, 0], [1, 1]]), left=math.inf)]},
    "100,000 points": {"objects": [path_of(np.random.default_rng(0).random((100_000, 2)))]},
    "a path without its place": {"objects": [{"type": "Path", "path": [["M", 1, 2], ["L", 3, 4]]}]},
    "an unknown command": {"objects": [path_of(np.eye(2)) | {"path": [["Z"]]}]},
    "an object that is none": {"objects": [None]},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_drawing_that_cannot_be_read_is_told_in_a_sentence(app, broken):
    send(app, broken)
    assert answers(app) == []
    assert app.error[0].value.endswith(".")


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_drawing_that_cannot_be_read_can_be_cleared(app, handwriting, broken):
    press(send(app, broken), "Clear")
    assert not app.error
    assert answers(draw(app, handwriting[7])) == ["7", "7"]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_drawing_that_cannot_be_read_does_not_stand_in_the_way_of_other_pages(app, broken):
    send(app, broken).switch_page("train.py").run().switch_page("draw.py").run()
    assert app.error[0].value.endswith(".")


@pytest.mark.parametrize("message", [{"version": "7.4.0"}, {"objects": None}, [1, 2, 3], "a drawing"])
def test_what_is_no_drawing_at_all_breaks_no_page(app, message):
    send(app, message)
    assert answers(app) == []
    app.switch_page("train.py").run().switch_page("draw.py").run()
    assert not app.exception


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    app.segmented_control(key="mode").set_value("upload").run()
    return app.file_uploader[0].upload(name, content, "image/png").run()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.mark.parametrize("dark_on_light", [False, True])
def test_an_uploaded_picture_is_read(app, handwriting, dark_on_light):
    image = sketch([stroke * SIDE + 40 for stroke in handwriting[8]], pen=16)
    assert answers(upload(app, "eight.png", png(255 - image if dark_on_light else image))) == ["8", "8"]


@pytest.mark.parametrize(
    "content", [b"Dear diary", b"", png(np.full((50, 50), 255, np.uint8))], ids=["text", "empty", "white"]
)
def test_a_file_without_a_digit_is_told_in_a_sentence(app, content):
    upload(app, "seven.png", content)
    assert answers(app) == []
    assert app.error[0].value.endswith(".")


def test_the_canvas_keeps_its_drawing_while_a_file_is_looked_at(app, handwriting):
    upload(draw(app, handwriting[3]), "diary.png", b"Dear diary")
    app.segmented_control(key="mode").set_value("canvas").run()
    assert (answers(app), strokes_left(app)) == (["3", "3"], 1)


@pytest.fixture
def starters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the starter models that may be damaged."""
    shutil.copytree(
        model_store.STARTERS, tmp_path / "starters", ignore=shutil.ignore_patterns("*.keras", "events.jsonl")
    )
    monkeypatch.setattr(model_store, "STARTERS", tmp_path / "starters")
    st.cache_resource.clear()
    return tmp_path / "starters"


def test_a_damaged_model_is_told_in_a_sentence(app, starters, handwriting):
    (starters / "ann" / "model.tflite").write_bytes(b"not a network")
    draw(app, handwriting[7])
    assert "model.tflite of model ann was changed after training" in said(app)


def test_a_model_folder_that_is_a_file_does_not_stand_in_the_way_of_the_starters(app, private, handwriting):
    (private / "models").write_text("a file where the folder should be")
    assert answers(draw(app, handwriting[7])) == ["7", "7"]


def own_model(model_id: str) -> Path:
    """A copy of the CNN among the person's own models."""
    ignored = shutil.ignore_patterns("*.keras", "events.jsonl", "config.json", "run.lock")
    return Path(shutil.copytree(ROOT / "models" / "cnn", read_settings().models / model_id, ignore=ignored))


def test_a_model_of_ones_own_can_be_chosen_and_answers(handwriting):
    own_model("mine")
    app = draw(open_app(), handwriting[7])
    app.multiselect(key="readers").set_value(["mine"]).run()
    assert [metric.label for metric in app.metric] == ["MINE reads"]
    assert answers(app) == ["7"]


def test_a_chosen_model_may_be_deleted(handwriting):
    folders = [own_model("mine"), own_model("mine-too")]
    app = draw(open_app(), handwriting[7])
    app.multiselect(key="readers").set_value(["mine", "cnn"]).run()
    shutil.rmtree(folders[0])
    assert answers(app.run())[0] == "7"


def test_models_of_ones_own_answer_where_a_starter_is_missing(starters, handwriting):
    shutil.rmtree(starters / "ann")
    own_model("mine")
    own_model("mine-too")
    assert answers(draw(open_app(), handwriting[7]))[0] == "7"


def test_missing_models_are_told_in_a_sentence(app, starters, handwriting):
    shutil.rmtree(starters)
    draw(app, handwriting[7])
    assert "no model that could read" in said(app)


# What people say of an answer


def test_right_is_logged_once_and_counted(app, handwriting):
    press(draw(app, handwriting[7]), "Right")
    assert "Logged: right, it is a 7" in said(app)
    assert not [button for button in app.button if button.label.startswith("Right")]
    app.run()
    assert (stats().total, stats().correct, stats().by_digit[7]) == (1, 1, (1, 1))
    assert totals(app) == ["1", "100%", "0"]


def test_a_correction_is_logged_and_counted(app, handwriting):
    draw(app, handwriting[7]).button(key="correct_1").click().run()
    assert "Logged: read as 7, but it is 1" in said(app)
    assert stats().confusions == [(1, 7, 1)]
    assert totals(app) == ["1", "0%", "1"]
    assert "CNN 7, ANN 7" in app.main.markdown[0].value


def test_a_drawing_that_is_no_digit_is_logged_and_counted(app, handwriting):
    draw(app, handwriting[7]).button(key="correct_none").click().run()
    assert "Logged: read as 7, but it is no digit" in said(app)
    assert stats().confusions == [(None, 7, 1)]
    assert totals(app)[2] == "1"


def test_every_model_that_answered_is_counted(app, handwriting):
    press(draw(app, handwriting[7]), "Right")
    assert stats().by_model == {"ann": (1, 1), "cnn": (1, 1)}


def test_an_uploaded_picture_can_be_judged(app, handwriting):
    press(upload(app, "two.png", png(sketch([stroke * SIDE + 40 for stroke in handwriting[2]], pen=16))), "Right")
    assert stats().by_digit[2] == (1, 1)


def test_what_was_said_can_be_taken_back_and_said_anew(app, handwriting):
    press(press(draw(app, handwriting[7]), "Right"), "Take back")
    assert stats().total == 0
    app.button(key="correct_1").click().run()
    assert stats().confusions == [(1, 7, 1)]


def test_what_was_said_is_remembered_when_the_page_is_shown_again(app, handwriting):
    press(draw(app, handwriting[7]), "Right").switch_page("train.py").run().switch_page("draw.py").run()
    assert "Logged" in said(app)


def test_a_misread_drawing_can_be_deleted_and_restored(app, handwriting):
    draw(app, handwriting[7]).button(key="correct_1").click().run()
    assert totals(app)[2] == "1"
    press(app, "Delete")
    assert stats().total == 0
    assert "Nobody has said yet" in said(app)
    press(app, "Restore")
    assert totals(app)[2] == "1"


def misread(count: int) -> None:
    store = FeedbackStore(read_settings().database_url)
    answer = {"model_id": "cnn", "sha256": "0" * 64, "digit": 1, "confidence": 0.9}
    drawing, image = Drawing((np.eye(2),)), np.zeros((28, 28), np.uint8)
    for number in range(count):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number)
        store.add(Feedback(str(uuid.uuid4()), moment, "another", drawing, "canvas", image, (answer,), 7))
    store.close()


def shown(app: AppTest) -> int:
    """How many misread drawings are on the page."""
    assert not app.exception
    return sum(button.label == "Delete" for button in app.button)


def test_many_misread_drawings_are_leafed_through(app):
    misread(30)
    assert (totals(app)[2], shown(app)) == ("30", 24)
    app.number_input[0].set_value(2).run()
    assert shown(app) == 6


def test_deleting_the_last_drawing_of_a_leaf_shows_another_leaf(app):
    misread(49)
    app.switch_page("feedback.py").run().number_input[0].set_value(3).run()
    press(app, "Delete")
    assert shown(app) == 24


def test_feedback_begins_with_an_invitation(app):
    app.switch_page("feedback.py").run()
    assert "Nobody has said yet" in said(app)


@pytest.fixture
def no_database(private: Path) -> None:
    (private / "feedback.sqlite3").write_text("This is no database. " * 100)


def test_without_its_database_feedback_is_refused_in_a_sentence_and_the_drawing_stays(no_database, app, handwriting):
    press(draw(app, handwriting[7]), "Right")
    assert "is no SQLite file" in said(app)
    assert (answers(app), strokes_left(app)) == (["7", "7"], 1)


def test_without_its_database_the_feedback_page_says_so(no_database, app):
    app.switch_page("feedback.py").run()
    assert "is no SQLite file" in said(app)


# The train page


@pytest.fixture
def train(app: AppTest) -> AppTest:
    return app.switch_page("train.py").run()


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def test_the_settings_survive_a_change_of_page(train):
    train.number_input(key="epochs").set_value(9).run().slider(key="dropout").set_value(0.5).run()
    train.text_input(key="filters").set_value("8, 16").run()
    train.switch_page("draw.py").run().switch_page("train.py").run()
    assert (train.number_input(key="epochs").value, train.slider(key="dropout").value) == (9, 0.5)
    assert train.text_input(key="filters").value == "8, 16"


def test_before_the_first_run_the_page_invites(train):
    assert "Press Train" in said(train)


@pytest.fixture
def started(monkeypatch):
    """The settings of the runs that were started; none trains."""
    configs: list[TrainConfig] = []
    monkeypatch.setattr(runs, "start_run", lambda config, settings: configs.append(config) or "cnn-1")
    return configs


def test_the_settings_on_the_page_are_those_of_the_run(train, started, monkeypatch, tmp_path):
    (tmp_path / "mnist.npz").touch()
    monkeypatch.setenv("DIGIT_LAB_MNIST", str(tmp_path / "mnist.npz"))
    train.segmented_control(key="base").set_value("mnist").run()
    train.button_group(key="added").set_value(["synthetic"])
    train.text_input(key="filters").set_value("8, 16")
    train.text_input(key="kernel_sizes").set_value("5,3")
    train.text_input(key="dense_units").set_value("")
    train.number_input(key="convolutions").set_value(2)
    train.segmented_control(key="padding").set_value("same")
    train.toggle(key="batch_norm").set_value(True)
    train.toggle(key="global_pooling").set_value(True)
    train.slider(key="dropout").set_value(0.5)
    train.number_input(key="epochs").set_value(7)
    train.number_input(key="batch_size").set_value(64)
    train.number_input(key="learning_rate").set_value(0.02)
    train.selectbox(key="schedule").set_value("cosine")
    train.selectbox(key="optimizer").set_value("sgd")
    train.toggle(key="augment").set_value(False)
    train.slider(key="validation_fraction").set_value(0.2)
    train.number_input(key="early_stopping").set_value(3)
    train.number_input(key="time_budget_s").set_value(60.0)
    train.number_input(key="seed").set_value(42)
    train.run()
    press(train, "Train")
    assert not train.exception
    expected = TrainConfig(
        dataset="mnist+synthetic",
        epochs=7,
        batch_size=64,
        learning_rate=0.02,
        schedule="cosine",
        optimizer="sgd",
        filters=(8, 16),
        kernel_sizes=(5, 3),
        convolutions=2,
        padding="same",
        global_pooling=True,
        batch_norm=True,
        dense_units=(),
        dropout=0.5,
        augment=False,
        validation_fraction=0.2,
        early_stopping=3,
        time_budget_s=60.0,
        seed=42,
    )
    assert started == [dataclasses.replace(expected, hidden_units=started[0].hidden_units)]


@pytest.mark.parametrize("architecture", ["ann", "cnn"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_taken_whole(train, started, architecture, preset):
    train.segmented_control(key="architecture").set_value(architecture).run()
    train.segmented_control(key="preset").set_value(preset).run()
    press(train, "Train")
    proposed = CONFIGS[architecture, preset]
    assert started == [dataclasses.replace(proposed, dataset=started[0].dataset)]


def test_a_changed_preset_is_one_no_more(train):
    assert train.segmented_control(key="preset").value == "quick-look"
    train.number_input(key="epochs").set_value(9).run()
    assert train.segmented_control(key="preset").value is None


def test_a_wrong_setting_of_the_other_network_is_in_nobodys_way(train, started):
    train.segmented_control(key="architecture").set_value("ann").run()
    train.text_input(key="hidden_units").set_value("many").run()
    train.segmented_control(key="architecture").set_value("cnn").run()
    press(train, "Train")
    assert [config.architecture for config in started] == ["cnn"]


def test_another_network_learns_from_the_same_images(train, started):
    train.segmented_control(key="base").set_value("synthetic").run()
    train.button_group(key="added").set_value(["feedback"]).run()
    train.segmented_control(key="architecture").set_value("ann").run()
    train.segmented_control(key="preset").set_value("best").run()
    press(train, "Train")
    assert [config.dataset for config in started] == ["synthetic+feedback"]


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("filters", "8, many", "The filters are '8, many'. Write whole numbers"),
        ("filters", "", "number of blocks is 0"),
        ("filters", "8,8,8,8", "that of blocks 4"),
        ("dense_units", "9999", "number of dense units is 9999"),
        ("kernel_sizes", "5, 5, 5", "number of kernel sizes is 3, that of blocks 2"),
        ("kernel_sizes", "1.5", "like 5, 3"),
        ("dense_units", "1,024", "The dense units are '1,024'. Write whole numbers"),
    ],
)
def test_a_wrong_setting_gets_a_sentence_and_nothing_starts(train, key, text, sentence):
    train.text_input(key=key).set_value(text).run()
    assert sentence in said(train)
    assert train.button(key="train").disabled
    assert not train.exception


def test_parameters_and_time_are_told_before_the_start(train):
    assert "215,194 parameters" in said(train)
    assert "s of training" in said(train)


def test_a_number_of_runs_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_PARALLEL_RUNS", "lots")
    assert "DIGIT_LAB_PARALLEL_RUNS is 'lots'" in said(open_app())


def test_without_mnist_on_this_machine_synthetic_digits_are_proposed(monkeypatch, private):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    page = open_app().switch_page("train.py").run()
    assert page.segmented_control(key="base").value == "synthetic"
    assert "is not on this machine yet" in said(page)
    assert "mnist.npz" in said(page)
    assert page.button(key="download_mnist")


def test_mnist_is_downloaded_from_the_page(monkeypatch, private):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)

    def download(settings, on_progress):
        on_progress(0.5)
        settings.data.mkdir(parents=True)
        (settings.data / "mnist.npz").write_bytes(b"MNIST")

    monkeypatch.setattr("pages._form.download_mnist", download)
    page = open_app().switch_page("train.py").run()
    press(page, "Download")
    assert not [button for button in page.button if "Download" in button.label]


def test_a_download_that_fails_is_told(monkeypatch, private):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    monkeypatch.setattr(datasets, "MNIST_URL", "http://127.0.0.1:9/mnist.npz")
    monkeypatch.setattr(downloads, "TRIES", 1)
    page = open_app().switch_page("train.py").run()
    press(page, "Download")
    assert "mnist.npz could not be downloaded" in said(page)


def test_pen_strokes_that_are_wanted_can_be_fetched(monkeypatch, private):
    monkeypatch.delenv("DIGIT_LAB_PEN_DIGITS", raising=False)

    def download(settings, on_progress):
        on_progress(0.5)
        settings.data.mkdir(parents=True)
        (settings.data / "pen_digits_strokes.jsonl.gz").write_bytes(b"strokes")

    monkeypatch.setattr("pages._form.download_pen_digits", download)
    page = open_app().switch_page("train.py").run()
    assert not [button for button in page.button if "Download pen" in button.label]
    page.pills(key="added").set_value(["pen-digits"]).run()
    assert "The pen strokes are not on this machine" in said(page)
    press(page, "Download pen strokes")
    assert not [button for button in page.button if "Download pen" in button.label]
    assert "pen strokes are not on this machine" not in said(page)


def test_pen_strokes_that_a_setting_names_are_not_offered_for_download(app, tmp_path, monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_PEN_DIGITS", str(tmp_path / "none.jsonl"))
    page = open_app().switch_page("train.py").run()
    page.pills(key="added").set_value(["pen-digits"]).run()
    assert "none.jsonl, which is not there" in said(page)
    assert not [button for button in page.button if "Download pen" in button.label]


def test_without_tensorflow_the_train_page_says_how_to_get_it(app, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "tensorflow" else find_spec(name, *rest)
    )
    app.switch_page("train.py").run()
    assert "Training needs TensorFlow" in said(app)
    assert app.button(key="train").disabled


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


def test_models_that_cannot_be_stored_are_told_in_a_sentence(train, private):
    (private / "models").write_text("a file where the folder should be")
    press(train, "Train")
    assert "could not be" in train.error[0].value


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
    assert "Its process ended without a word" in said(app)


def test_a_queued_run_is_shown_as_waiting(app, keep_run):
    keep_run("cnn-wait", "queued", age=0.0)
    app.session_state["watched_run"] = "cnn-wait"
    with FileLock(keep_run("cnn-busy", "queued", "started") / "run.lock"):
        app.switch_page("train.py").run()
    assert "Waiting for its turn: place 1 of 1, 1 run trains at a time" in said(app)


def test_a_run_that_starts_shows_that_it_gets_ready(app, keep_run):
    folder = keep_run("cnn-start", "queued", "started")
    with FileLock(folder / "run.lock"):
        app.switch_page("train.py").run()
    assert "Getting ready" in said(app)


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


def test_a_teacher_is_chosen(app, monkeypatch):
    started = []
    monkeypatch.setattr(runs, "start_run", lambda config, settings: started.append(config) or "mine")
    app.switch_page("train.py").run()
    app.selectbox(key="teacher_id").set_value("cnn").run()
    press(app, "Train")
    assert started[0].teacher_id == "cnn"


@pytest.fixture
def trained(keep_run):
    """A run that made a model: the starter ANN under another name."""
    folder = keep_run(
        "mine", "queued", "started", "batch", "epoch", "finished", message="99.32 % of 10,000 test images"
    )
    for name in ("metadata.json", "evaluation.json", "model.keras", "model.tflite"):
        shutil.copy(STARTERS / "ann" / name, folder)
    return "mine"


def test_a_finished_model_is_drawn_with(app, trained, handwriting):
    app.switch_page("train.py").run()
    press(app, "Draw with it now")
    assert app.title[0].value == "Draw a digit"
    assert app.multiselect(key="readers").value == [trained, "cnn"]
    app.switch_page("draw.py").run()  # AppTest itself does not follow
    assert draw(app, handwriting[3]).metric[0].label == "MINE reads"


def test_a_finished_model_reads_where_no_other_is_named(app, trained):
    app.switch_page("train.py").run()
    press(app, "Use this model")
    assert load_default(read_settings()) == trained
    assert not [button for button in app.button if button.label == "Use this model"]
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
    assert "Compared" in [header.value for header in app.subheader]
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


def test_what_somebody_typed_is_not_taken_for_markdown(train):
    train.text_input(key="filters").set_value("**b** :red[x] $x$").run()
    assert train.error[0].value.startswith(r"The filters are '\*\*b\*\* \:red\[x\] \$x\$'")
