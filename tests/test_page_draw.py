"""The draw page without a browser: drawing, uploading, judging."""

import math
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from apptest import (
    SIDE,
    answers,
    draw,
    open_app,
    path_of,
    png,
    press,
    said,
    see,
    send,
    stats,
    strokes_left,
    totals,
    upload,
)

from digit_core import model_store
from digit_core.feedback import FeedbackStore
from digit_core.selection import Selection
from digit_core.settings import ROOT, read_settings
from digit_core.strokes import sketch
from digit_core.types import Feedback


def test_an_empty_canvas_invites_and_shows_no_answer(app):
    assert answers(app) == []
    assert "Draw with mouse, finger or pen" in app.info[0].value


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
    assert [metric.label for metric in app.metric] == ["mine reads"]
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
    assert totals(app) == ["1", "100.0\N{NO-BREAK SPACE}%", "0"]


def test_a_correction_is_logged_and_counted(app, handwriting):
    draw(app, handwriting[7]).button(key="correct_1").click().run()
    assert "Logged: read as 7, but it is 1" in said(app)
    assert stats().confusions == [(1, 7, 1)]
    assert totals(app) == ["1", "0.0\N{NO-BREAK SPACE}%", "1"]
    assert any("CNN 7, ANN 7" in text.value for text in see(app, "drawings").main.markdown)


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


def test_a_nickname_goes_with_what_is_said(app, handwriting):
    draw(app, handwriting[7]).text_input(key="nickname").set_value("Zoë").run()
    press(app, "Right")
    press(draw(app, handwriting[4]), "Right")  # the next drawing, too
    assert stats().by_visitor == {"Zoë": (2, 2)}


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_KEEP_UNJUDGED", "1")


def unjudged() -> list[Feedback]:
    with closing(FeedbackStore(read_settings().database_url)) as store:
        return store.list(which=Selection(verdict="unjudged"))


def test_an_answer_that_nobody_judged_is_not_kept(app, handwriting):
    draw(draw(app, handwriting[7]), handwriting[4])
    assert unjudged() == []


def test_in_a_study_the_last_answer_to_each_drawing_is_kept_unjudged(study, app, handwriting):
    draw(draw(app, handwriting[4][:1]), handwriting[4])
    assert unjudged() == [], "the drawing went on"
    draw(app, handwriting[7])
    (entry,) = unjudged()
    assert [answer["digit"] for answer in entry.answers] == [4, 4] and entry.true_digit is None
    press(app, "Clear")
    assert len(unjudged()) == 2 and stats().total == 0


def test_in_a_study_what_was_judged_is_kept_once(study, app, handwriting):
    press(press(draw(app, handwriting[7]), "Right"), "Clear")
    assert unjudged() == [] and stats().total == 1


def test_in_a_study_what_was_kept_unjudged_can_still_be_judged(study, app, handwriting):
    press(press(draw(app, handwriting[7]), "Clear"), "Undo")
    assert len(unjudged()) == 1
    press(app, "Right")
    assert unjudged() == [] and (stats().total, stats().correct) == (1, 1)
    press(app, "Take back")
    assert stats().total == 0
