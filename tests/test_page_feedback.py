"""The feedback page without a browser."""

import gzip
import io
import json
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from apptest import draw, press, said, see, stats, strokes_left, totals
from entries import NOON, PICTURE, image_of, keep, say
from streamlit.testing.v1 import AppTest

from digit_core.feedback import FeedbackStore
from digit_core.selection import Selection
from digit_core.settings import read_settings
from digit_core.types import Drawing


@pytest.fixture(autouse=True)
def unhurried(app, monkeypatch):
    """Each press counts, however soon it follows another."""
    monkeypatch.setattr("pages._shared.HASTE", 0.0)


def count(which: Selection) -> int:
    with closing(FeedbackStore(read_settings().database_url)) as store:
        return store.count(which)


def tiles(app: AppTest) -> int:
    """How many drawings are in the gallery."""
    assert not app.exception
    return sum(button.label == "Open" for button in app.button)


def test_feedback_begins_with_an_invitation(app):
    for view in ("statistics", "drawings", "doubtful"):
        assert "Nobody has said yet" in said(see(app, view))


def test_statistics_show_who_was_right(app):
    keep(say(7, 7, 1, visitor="Zoë"), say(7, 1, 7), say(3, 3, 3), say(5))
    assert totals(app) == ["3", "66.7\N{NO-BREAK SPACE}%", "1"]
    texts = "\n".join(text.value for text in app.markdown)
    assert "ANN and CNN disagreed 2 times: ANN was right **1** times, CNN **1**, neither 0" in texts
    tables = [set(frame.value.columns) for frame in app.dataframe]
    assert {"model", "drawings", "share"} in tables and {"name", "drawings", "share"} in tables


def test_statistics_of_one_model_are_its_own(app):
    keep(say(7, 7, 1), say(7, 7, 7))
    totals(app)
    app.selectbox(key="said_model").set_value("cnn").run()
    assert [metric.value for metric in app.metric[:3]] == ["2", "50.0\N{NO-BREAK SPACE}%", "1"]


def test_statistics_of_a_model_that_is_gone_stand_alone(app):
    answer = {"model_id": "gone", "sha256": "", "digit": 7, "confidence": 0.9}
    keep(say(7, answers=(answer,)))
    totals(app)
    app.selectbox(key="said_model").set_value("gone").run()
    assert "gone is not here any more" in said(app)


def test_statistics_of_nothing_say_so(app):
    keep(say(7))
    assert totals(app)[0] == "0" and "No judged answer" in said(app)


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("digits", [7], 2),
        ("digits", ["no digit"], 1),
        ("said_verdict", "wrong", 2),
        ("said_verdict", "right", 1),
        ("said_verdict", "collected", 1),
        ("said_verdict", "unjudged", 1),
        ("said_verdict", "deleted", 1),
        ("said_model", "cnn", 1),
        ("kinds", ["upload"], 1),
        ("by", "Zoë", 1),
        ("days", (NOON.date() + timedelta(days=1), NOON.date() + timedelta(days=2)), 2),
        ("days", (date(2020, 1, 1), date(2020, 1, 2)), 0),
    ],
)
def test_the_log_is_filtered(app, key, value, shown):
    keep(
        say(7, 1, 7), say(7, 7, visitor="Zoë", minute=1440), say(None, 3, minute=2880, input_kind="upload"), say(5),
        say(None, 4, judged=False), say(1, 1, deleted_at=NOON),
    )  # fmt: skip
    assert tiles(see(app, "drawings")) == 4
    control = {"digits": app.multiselect, "kinds": app.multiselect, "days": app.date_input}.get(key, app.selectbox)
    control(key=key).set_value(value).run()
    assert tiles(app) == shown


def test_many_drawings_are_leafed_through(app):
    keep(*[say(7, 1, minute=minute) for minute in range(30)])
    assert tiles(see(app, "drawings")) == 24
    app.number_input(key="leaf").set_value(2).run()
    assert tiles(app) == 6


def opened(app: AppTest) -> AppTest:
    """The first drawing of the log, opened."""
    return press(see(app, "drawings"), "Open")


def test_a_drawing_is_opened_with_all_that_is_known_of_it(app):
    keep(say(7, 1, 7, comment="a *barred* one", visitor="Zoë"), say(3, minute=1, drawing=Drawing(image=PICTURE)))
    opened(app)
    assert "It is 3" in said(app) and "No model read it: it was collected." in [text.value for text in app.markdown]
    press(app, "Older")
    assert "It is 7" in said(app)
    assert [text.value for text in app.markdown if "read **" in text.value] == [
        "ANN read **1** (30.0\N{NO-BREAK SPACE}% sure)",
        "CNN read **7** (30.0\N{NO-BREAK SPACE}% sure)",
    ]
    assert [text.value for text in app.text] == ["Drawing of 2026-03-01 12:00 UTC, by Zoë", "a *barred* one"]
    assert tiles(press(app, "All drawings")) == 2


def test_a_label_is_corrected_and_the_correction_undone(app):
    keep(say(7, 1, 7))
    opened(app).button(key="relabel_1").click().run()
    assert "Corrected: it is 1." in said(app) and stats().by_digit[1] == (1, 1)
    press(app, "Undo")
    assert stats().by_digit[7] == (1, 0) and "Corrected" not in said(app)
    app.button(key="relabel_no digit").click().run()
    assert stats().confusions == [(None, 1, 1)]


def test_a_drawing_is_deleted_and_brought_back(app):
    keep(say(7, 1))
    press(opened(app), "Delete")
    assert "Deleted." in said(app) and stats().total == 0
    press(app, "Undo")
    assert stats().total == 1


def test_the_second_press_of_a_double_click_does_nothing_to_the_next_drawing(app, monkeypatch):
    monkeypatch.setattr("pages._shared.HASTE", 60.0)
    keep(say(7, 1), say(3, minute=1, image=image_of(99)))
    press(press(opened(app), "Delete"), "Delete")
    assert count(Selection()) == 1 and "It is 7" in said(app)


def test_the_drawing_that_was_pressed_is_opened_and_stays_so_when_others_come(app):
    keep(say(7, 1))
    see(app, "drawings")
    keep(say(3, minute=1, image=image_of(99)))
    assert "It is 7" in said(press(app, "Open"))
    keep(say(5, minute=2, image=image_of(98)))
    assert "It is 7" in said(app.run()) and "3 of 3" in said(app)
    assert "It is 3" in said(press(app, "Newer"))


def test_what_somebody_else_has_changed_is_not_undone(app):
    keep(entry := say(7, 1, 7))
    opened(app).button(key="relabel_1").click().run()
    with closing(FeedbackStore(read_settings().database_url)) as store:
        store.review(store.get(entry.id), 3)
    press(app, "Undo")
    assert "Somebody has changed this drawing since you saw it" in said(app) and stats().by_digit[3] == (1, 0)


def test_a_deleted_drawing_is_restored_from_the_log(app):
    keep(say(7, 1, deleted_at=NOON))
    see(app, "drawings").selectbox(key="said_verdict").set_value("deleted").run()
    press(press(app, "Open"), "Restore")
    assert "Restored." in said(app) and stats().total == 1


@pytest.mark.parametrize("shape", [(1, 640), (640, 1)])
def test_a_picture_that_is_but_a_line_is_shown(app, shape):
    keep(say(7, drawing=Drawing(image=np.full(shape, 255, np.uint8))))
    assert "It is 7" in said(opened(app))


def test_an_answer_that_nobody_judged_can_be_judged(app):
    keep(say(None, 4, judged=False))
    see(app, "drawings").selectbox(key="said_verdict").set_value("unjudged").run()
    press(app, "Open").button(key="relabel_4").click().run()
    assert (stats().total, stats().correct) == (1, 1)


def test_an_opened_drawing_gives_way_to_another_choice(app):
    keep(say(7, 1), say(3, 3))
    opened(app)
    app.multiselect(key="digits").set_value([7]).run()
    assert tiles(app) == 1


def test_doubtful_labels_leave_their_queue_once_they_are_looked_at(app):
    sure = tuple({"model_id": name, "sha256": "", "digit": 1, "confidence": 0.99} for name in ("ann", "cnn"))
    keep(say(7, answers=sure), say(2, 2, minute=1, image=image_of(5)), say(3, 3, image=image_of(60)))
    assert tiles(see(app, "doubtful")) == 2
    assert "In doubt: nearly blank." in said(press(app, "Open"))
    press(app, "The label is right")
    assert "Confirmed: it is 2." in said(app) and "It is 7" in said(app), "the next one follows"
    assert "In doubt: all models are sure that it is another digit." in said(app)
    app.button(key="relabel_1").click().run()
    assert "No label is in doubt" in said(app) and stats().by_digit[1] == (1, 1)
    press(app, "Undo")
    assert count(Selection(doubt="any")) == 1


def test_doubt_is_shown_by_its_reason(app):
    keep(say(2, 2, image=image_of(5)), say(3, image=image_of(60)), say(5, minute=1, image=image_of(60)))
    see(app, "doubtful").segmented_control(key="doubt").set_value("conflict").run()
    assert tiles(app) == 2
    assert "In doubt: equal drawings differ." in said(press(app, "Open"))


@pytest.mark.parametrize("form", ["jsonl.gz", "csv", "npz", "zip"])
def test_what_is_selected_is_exported(app, form):
    keep(say(7, 1), say(3, 3))
    see(app, "files").multiselect(key="digits").set_value([7]).run()
    app.selectbox(key="form").set_value(form).run()
    press(app, "Make a file of 1 drawing")
    wanted, content, _ = app.session_state["export"]
    assert wanted[0] == form and len(content) > 20 and app.get("download_button")
    if form == "jsonl.gz":
        assert json.loads(gzip.decompress(content))["label"] == 7
    if form == "npz":
        assert np.load(io.BytesIO(content))["y"].tolist() == [7]
    app.multiselect(key="digits").set_value([]).run()
    assert not app.get("download_button"), "another choice wants another file"


def test_an_export_tells_how_many_drawings_it_holds(app):
    keep(say(None, 1))
    see(app, "files").selectbox(key="form").set_value("npz").run()
    press(app, "Make a file of 1 drawing")
    assert "Download 0 drawings" in app.get("download_button")[0].proto.label


def test_a_full_folder_for_temporary_files_is_told(app, monkeypatch, tmp_path):
    keep(say(7, 1))
    see(app, "files")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    press(app, "Make a file of 1 drawing")
    assert "could not be written" in said(app)


def test_a_database_that_was_moved_away_is_made_anew(app, private):
    keep(say(7, 1))
    see(app, "drawings")
    for file in private.glob("feedback.sqlite3*"):
        file.unlink()
    assert "has lost its tables. Try again" in said(app.run())
    assert "Nobody has said yet" in said(app.run())


def bring(app: AppTest, name: str, content: bytes) -> AppTest:
    see(app, "files").file_uploader(key="import").set_value((name, content, "application/octet-stream")).run()
    return app.button(key="do_import").click().run()


def test_a_file_is_imported_and_what_cannot_be_used_is_told(app):
    lines = [{"label": 1, "strokes": [[[0, 0], [0, 9]]]}, {"label": 11, "strokes": [[[0, 0], [0, 9]]]}]
    bring(app, "mine.jsonl", "\n".join(map(json.dumps, lines)).encode())
    assert "1 drawing added." in said(app) and "1 could not be used" in said(app)
    assert any("Line 2: The digit of a feedback is 11" in text.value for text in app.text)
    assert stats().collected == 1


@pytest.mark.parametrize("name", ["broken.zip", "broken.jsonl.gz", "broken.npz", "<script>.jsonl"])
def test_a_broken_file_is_told_by_its_own_name(app, name):
    bring(app, name, b"nothing of the kind")
    assert name in said(app).replace("\\", "") and "/imported" not in said(app)


@pytest.fixture
def no_database(private: Path) -> None:
    (private / "feedback.sqlite3").write_text("This is no database. " * 100)


def test_without_its_database_feedback_is_refused_in_a_sentence_and_the_drawing_stays(no_database, app, handwriting):
    press(draw(app, handwriting[7]), "Right")
    assert "is no SQLite file" in said(app)
    assert strokes_left(app) == 1


def test_without_its_database_the_feedback_page_says_so(no_database, app):
    app.switch_page("feedback.py").run()
    assert "is no SQLite file" in said(app)


def test_what_was_done_here_is_not_told_on_other_pages(app):
    keep(say(7, 1))
    press(opened(app), "Delete").switch_page("train.py").run()
    assert not app.toast
    app.switch_page("learn.py").run()
    assert not app.toast and not app.exception
    press(see(app, "drawings"), "Undo")
    assert stats().total == 1


def test_a_file_made_before_a_correction_is_not_offered_after_it(app):
    keep(say(7, 1))
    press(see(app, "files"), "Make a file of 1 drawing")
    opened(app).button(key="relabel_1").click().run()
    assert not see(app, "files").get("download_button")


def test_a_file_whose_name_is_in_capitals_is_imported(app):
    bring(app, "MINE.JSONL", b'{"label": 1, "strokes": [[[0, 0], [0, 9]]]}')
    assert "1 drawing added." in said(app)
