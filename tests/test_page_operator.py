"""Who may do what on the pages, without a browser."""

import json
import shutil
from contextlib import closing

import pytest
from apptest import draw, open_app, press, said, see, strokes_left
from entries import NOON, keep, say
from streamlit.proto.WidgetStates_pb2 import WidgetStates
from streamlit.testing.v1 import AppTest

from digit_core import runs
from digit_core.feedback import FeedbackStore
from digit_core.model_store import load_default, save_default, to_json
from digit_core.password import PasswordGate
from digit_core.selection import Selection
from digit_core.settings import read_settings
from digit_core.types import TrainConfig

PASSWORD = "open sesame"
LOCK = ":material/lock:"


@pytest.fixture(autouse=True)
def guarded(app, monkeypatch):
    """A Digit Lab with a password, at which nobody has guessed; each press counts, however soon it follows another."""
    monkeypatch.setenv("DIGIT_LAB_ADMIN_PASSWORD", PASSWORD)
    monkeypatch.setattr("pages._operator.GATE", PasswordGate())
    monkeypatch.setattr("pages._shared.HASTE", 0.0)
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: None)


@pytest.fixture
def lesson(trained):
    """The run of a model that learned from the CNN."""
    folder = read_settings().models / trained
    (folder / "config.json").write_bytes(to_json(TrainConfig(dataset="synthetic", base_model_id="cnn")))
    values = json.loads((folder / "metadata.json").read_bytes())
    (folder / "metadata.json").write_text(json.dumps(values | {"parent_id": "cnn"}))
    return trained


def everyones():
    """What everyone shares: the model that reads, the runs, what was said."""
    settings = read_settings()
    files = sorted(str(path) for path in settings.models.rglob("*") if path.suffix != ".lock")
    with closing(FeedbackStore(settings.database_url)) as store:
        entries = [*store.walk(), *store.walk(Selection(deleted=True))]
    said = [(entry.id, entry.true_digit, entry.deleted_at, entry.reviewed_at) for entry in entries]
    return load_default(settings), files, said


def asks(app: AppTest) -> bool:
    assert not app.exception
    return any("asks for the operator's password" in text.value for text in app.markdown)


def give(app: AppTest, password: str = PASSWORD) -> AppTest:
    app.text_input(key="password").set_value(password)
    return press(app, "Unlock and do it")


def opened(app: AppTest, verdict: str | None = None) -> AppTest:
    """The first drawing of the log."""
    see(app, "drawings").selectbox(key="said_verdict").set_value(verdict).run()
    return press(app, "Open")


def finished(app, request):
    request.getfixturevalue("trained")
    return app.switch_page("train.py").run()


def learned(app, request):
    request.getfixturevalue("lesson")
    return app.switch_page("learn.py").run()


def accepted(app, request):
    save_default(request.getfixturevalue("lesson"), read_settings())
    return app.switch_page("learn.py").run()


def waiting(app, request):
    request.getfixturevalue("keep_run")("cnn-wait", "queued", age=0.0)
    return app.switch_page("train.py").run()


def stopped(app, request):
    request.getfixturevalue("keep_run")("cnn-halt", "queued", "started", "epoch", "stopped")
    return app.switch_page("train.py").run()


def deleted_by_the_operator(app, request):
    give(press(stopped(app, request), "Delete"))
    return press(app, "Lock again")


def looked_at(app, request):
    request.getfixturevalue("mine")
    return app.switch_page("models.py").run().multiselect(key="looked_at").set_value(["mine"]).run()


def said_by_another(app, request):
    keep(say(7, 1, 7))
    return opened(app)


def deleted_by_another(app, request):
    keep(say(7, 1, deleted_at=NOON))
    return opened(app, "deleted")


def corrected_by_the_operator(app, request):
    give(press(said_by_another(app, request), "3"))
    return press(app, "Lock again")


def chosen_file(app, request):
    line = b'{"label": 1, "strokes": [[[0, 0], [0, 9]]]}'
    return see(app, "files").file_uploader(key="import").set_value(("mine.jsonl", line, "text/plain")).run()


@pytest.mark.parametrize(
    ("reach", "label"),
    [
        (finished, "Use this model"),
        (learned, "Accept"),
        (accepted, "Go back to CNN"),
        (finished, "Delete"),
        (learned, "Discard"),
        (accepted, "Discard"),
        (looked_at, "Use this model"),
        (looked_at, "Delete"),
        (waiting, "Stop"),
        (stopped, "Resume"),
        (deleted_by_the_operator, "Undo"),
        (said_by_another, "3"),
        (said_by_another, "The label is right"),
        (said_by_another, "Delete"),
        (deleted_by_another, "Restore"),
        (corrected_by_the_operator, "Undo"),
        (chosen_file, "Import"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_what_acts_on_everyone_waits_for_the_password(app, request, reach, label):
    page = reach(app, request)
    before = everyones()
    press(page, label)
    assert asks(page) and everyones() == before
    give(page, "wrong")
    assert "not the operator's password" in said(page) and asks(page) and everyones() == before
    give(page)
    assert not asks(page) and not page.error and everyones() != before


def test_one_session_that_is_unlocked_unlocks_no_other(app, trained):
    give(press(app.switch_page("train.py").run(), "Use this model"))
    assert load_default(read_settings()) == trained
    other = press(open_app().switch_page("train.py").run(), "Delete")
    assert asks(other) and (read_settings().models / trained).exists()
    press(app.run(), "Delete")
    assert "mine is deleted. CNN reads now." in said(app)


def test_what_is_locked_again_asks_again(app, trained):
    give(press(app.switch_page("train.py").run(), "Use this model"))
    press(app, "Lock again")
    assert asks(press(app, "Delete")) and (read_settings().models / trained).exists()


def test_a_lock_shows_what_will_ask(app, trained):
    app.switch_page("train.py").run()
    icons = {button.label: button.icon for button in app.button}
    assert (icons["Use this model for everyone"], icons["Delete"]) == (LOCK, LOCK)
    assert LOCK not in (icons["Draw with it now"], icons["Duplicate"], icons["Train"])
    give(press(app, "Use this model"))
    assert LOCK not in [button.icon for button in app.button]


def test_a_button_that_needed_no_password_when_it_was_shown_may_need_it_when_it_is_pressed(app, trained):
    app.session_state["unlocked"] = True
    app.switch_page("train.py").run()
    del app.session_state["unlocked"]
    assert asks(press(app, "Delete")) and (read_settings().models / trained).exists()


def test_a_browser_cannot_say_that_it_is_unlocked(app, trained):
    app.query_params["unlocked"] = "true"
    app.switch_page("train.py").run()
    forged = WidgetStates()
    forged.widgets.add(id="unlocked", bool_value=True)
    forged.widgets.add(id=app.button(key="delete").id, trigger_value=True)
    app._run(forged)
    assert (read_settings().models / trained).exists() and "Lock again" not in [button.label for button in app.button]


def test_after_many_wrong_passwords_the_right_one_waits_whatever_session_it_comes_from(app, trained):
    press(app.switch_page("train.py").run(), "Delete")
    for _ in range(5):
        give(app, "guess")
    other = give(press(open_app().switch_page("train.py").run(), "Delete"))
    assert "5 wrong passwords came within a minute. Wait " in said(other)
    assert (read_settings().models / trained).exists()


def test_what_was_pressed_on_a_page_that_was_left_is_not_done(app, trained):
    press(app.switch_page("train.py").run(), "Delete").switch_page("draw.py").run()
    assert not asks(app)
    assert not asks(app.switch_page("train.py").run())


def test_the_run_of_this_session_is_stopped_resumed_deleted_and_brought_back_without_password(app):
    app.switch_page("train.py").run()
    press(press(app, "Train"), "Stop")
    run_id, folder = app.session_state["watched_run"], read_settings().models / app.session_state["watched_run"]
    assert (folder / "stop").exists()
    runs.tell_end(folder, "stopped")
    press(app.run(), "Resume")
    assert runs.load_run(run_id, read_settings()).status == "queued"
    runs.tell_end(folder, "stopped")
    press(app.run(), "Delete")
    assert not folder.exists()
    press(app, "Undo")
    assert folder.exists() and not asks(app)
    other = press(open_app().switch_page("train.py").run(), "Delete")
    assert asks(other) and folder.exists()


def test_a_run_that_has_the_name_of_one_that_this_session_deleted_is_another(app):
    app.switch_page("train.py").run().text_input(key="run_name").set_value("wide").run()
    press(app, "Train")
    runs.tell_end(read_settings().models / "wide", "stopped")
    press(app.run(), "Delete")
    shutil.rmtree(read_settings().models / ".deleted")  # as if many were deleted since
    folder = read_settings().models / runs.create_run(TrainConfig(dataset="synthetic"), read_settings(), name="wide")
    runs.tell_end(folder, "stopped")
    app.session_state["watched_run"] = "wide"
    press(app.run(), "Delete")
    assert asks(app) and folder.exists()


def test_a_run_of_this_session_by_which_everybody_is_read_is_deleted_with_the_password_only(app, trained, monkeypatch):
    monkeypatch.setattr(runs, "start_run", lambda *rest: trained)
    press(app.switch_page("train.py").run(), "Train")
    save_default(trained, read_settings())  # by somebody else, since the page was shown
    press(app, "Delete")
    assert asks(app) and load_default(read_settings()) == trained


def test_the_lesson_of_this_session_is_discarded_without_password(app, lesson, monkeypatch):
    keep(say(7, 1))
    monkeypatch.setattr(runs, "start_run", lambda *rest: lesson)
    press(press(app.switch_page("learn.py").run(), "Learn"), "Discard")
    assert "mine is deleted" in said(app)


def test_a_lesson_that_another_session_has_begun_is_watched_and_stopped_with_the_password_only(app, keep_run):
    keep(say(7, 1))
    other = press(open_app().switch_page("learn.py").run(), "Learn")
    press(app.switch_page("learn.py").run(), "Learn")
    assert len(runs.list_runs(read_settings())) == 1
    assert asks(press(app, "Stop"))
    assert not asks(press(other, "Stop"))


def test_what_was_said_in_this_session_is_corrected_and_taken_back_without_password(app, handwriting):
    press(draw(app, handwriting[7]), "Right")
    press(app, "Take back")
    assert everyones()[2][0][2] is not None, "deleted"
    press(app, "Right")
    opened(app)
    assert LOCK not in [button.icon for button in app.button]
    for label in ("3", "Undo", "The label is right", "Delete", "Undo"):
        press(app, label)
        assert not asks(app)


def test_what_was_collected_is_taken_back_without_password(app, handwriting):
    app.switch_page("collect.py").run()
    press(draw(app, handwriting[3]), "Keep")
    press(app, "Take the last one back")
    assert not asks(app) and everyones()[2][0][2] is not None, "deleted"
    assert strokes_left(app) == 0


def test_the_model_that_a_visitor_draws_with_is_that_visitors_alone(app, trained, handwriting):
    other = open_app()
    press(app.switch_page("train.py").run(), "Draw with it now")
    assert not asks(app) and app.multiselect(key="readers").value == [trained, "cnn"]
    assert load_default(read_settings()) == "cnn"
    assert other.run().multiselect(key="readers").value == open_app().multiselect(key="readers").value == ["cnn", "ann"]
    app.switch_page("draw.py").run().multiselect(key="readers").set_value([trained]).run()
    assert [metric.label for metric in draw(app, handwriting[3]).metric] == ["mine reads"]
    assert [metric.label for metric in draw(other, handwriting[3]).metric] == ["CNN reads", "ANN reads"]


@pytest.mark.parametrize("password", ["", "  "])
def test_without_a_password_nothing_asks(app, request, monkeypatch, password):
    monkeypatch.setenv("DIGIT_LAB_ADMIN_PASSWORD", password)
    press(finished(app, request), "Use this model")
    press(app, "Delete")
    assert "mine is deleted" in said(app) and LOCK not in [button.icon for button in app.button]
    assert "Lock again" not in [button.label for button in app.button]
