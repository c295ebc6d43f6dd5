"""The collect page without a browser."""

from contextlib import closing

import pytest
from apptest import draw, press, said, strokes_left

from digit_core.feedback import FeedbackStore
from digit_core.settings import read_settings


@pytest.fixture
def collect(app):
    return app.switch_page("collect.py").run()


def asked(app) -> int:
    """The digit that the page asks for."""
    assert not app.exception
    return int(app.header[0].value.removeprefix("Draw the digit "))


def kept():
    with closing(FeedbackStore(read_settings().database_url)) as store:
        return store.list()


def test_what_is_drawn_is_kept_as_what_was_asked_for_and_no_model_reads_it(collect, handwriting):
    digit = asked(collect)
    collect.text_input(key="nickname").set_value(" Zoë ").run()
    press(draw(collect, handwriting[digit]), "Keep")
    (entry,) = kept()
    assert (entry.true_digit, entry.answers, entry.visitor, entry.input_kind) == (digit, (), "Zoë", "canvas")
    assert len(entry.drawing.strokes) == len(handwriting[digit]) and entry.image.any()
    assert "1 of 50 drawings" in said(collect) and strokes_left(collect) == 0


def test_every_digit_is_asked_for_equally_often(collect, handwriting):
    collect.number_input(key="each").set_value(1).run()
    digits = []
    for _ in range(10):
        digits.append(asked(collect))
        press(draw(collect, handwriting[digits[-1]]), "Keep")
    assert sorted(digits) == list(range(10)) == sorted(entry.true_digit for entry in kept())
    assert "Done: 10 drawings are kept" in said(collect)
    press(collect, "Draw another round")
    assert "0 of 10 drawings" in said(collect)


def test_how_a_round_is_read_is_shown_when_it_is_done(collect, handwriting):
    collect.number_input(key="each").set_value(1).run()
    collect.session_state["wanted"] = [7, 4]
    press(draw(collect.run(), handwriting[7]), "Keep")
    assert not collect.markdown
    press(draw(collect, handwriting[1]), "Keep")
    assert "CNN reads 1 of these 2 drawings rightly" in collect.markdown[0].value
    press(collect, "Take the last one back")
    assert asked(collect) == 4 and not collect.markdown


def test_without_a_drawing_nothing_is_kept(collect):
    press(collect, "Keep")
    assert "There is nothing yet" in said(collect) and kept() == []


def test_a_digit_that_is_skipped_gives_way_to_another_and_is_asked_for_later(collect):
    collect.session_state["wanted"] = [7, 7, 3, 7]
    press(collect.run(), "Skip")
    assert asked(collect) == 3 and sorted(collect.session_state["wanted"]) == [3, 7, 7, 7]
    collect.session_state["wanted"] = [7, 7]
    press(collect.run(), "Skip")
    assert asked(collect) == 7


def test_the_last_drawing_can_be_taken_back(collect, handwriting):
    digit = asked(collect)
    press(press(draw(collect, handwriting[digit]), "Keep"), "Take the last one back")
    assert kept() == [] and asked(collect) == digit


def test_what_was_drawn_for_one_digit_is_not_kept_as_another(collect, handwriting):
    collect.session_state["wanted"] = [3, 7]
    press(draw(collect.run(), handwriting[3]), "Skip")
    assert asked(collect) == 7 and strokes_left(collect) == 0
    press(draw(collect, handwriting[7]), "Keep")
    press(draw(collect, handwriting[3]), "Take the last one back")
    assert asked(collect) == 7 and strokes_left(collect) == 0
    draw(collect, handwriting[7]).number_input(key="each").set_value(2).run()
    assert strokes_left(collect) == 0 and "0 of 20 drawings" in said(collect)


def test_a_damaged_model_is_in_nobodys_way(collect, handwriting, monkeypatch, tmp_path):
    monkeypatch.setattr("digit_core.model_store.STARTERS", tmp_path)
    collect.session_state["wanted"] = [7]
    press(draw(collect.run(), handwriting[7]), "Keep")
    assert press(collect, "Draw another round").header


def test_each_page_keeps_its_own_drawing(app, handwriting):
    draw(app, handwriting[7]).switch_page("collect.py").run()
    assert strokes_left(app) == 0
    draw(app, handwriting[4]).switch_page("draw.py").run()
    assert strokes_left(app) == len(handwriting[7])
    app.switch_page("collect.py").run()
    assert strokes_left(app) == len(handwriting[4])


def test_who_has_drawn_is_who_is_learned_from(collect, handwriting):
    collect.text_input(key="nickname").set_value("Zoë").run()
    press(draw(collect, handwriting[asked(collect)]), "Keep")
    press(collect, "Learn my handwriting")
    assert collect.title[0].value == "Learn from people" and collect.selectbox(key="taught_by").value == "Zoë"


def test_without_its_database_the_drawing_stays(private, app, handwriting):
    (private / "feedback.sqlite3").write_text("This is no database. " * 100)
    app.switch_page("collect.py").run()
    press(draw(app, handwriting[asked(app)]), "Keep")
    assert "is no SQLite file" in said(app) and strokes_left(app) > 0


def test_a_name_that_cannot_be_stored_is_told_and_the_drawing_stays(collect, handwriting):
    collect.text_input(key="nickname").set_value("a\0b").run()
    press(draw(collect, handwriting[asked(collect)]), "Keep")
    assert "cannot be stored" in said(collect) and strokes_left(collect) > 0


def test_drawings_of_nobody_in_particular_are_learned_with_everybodys(collect, handwriting):
    press(draw(collect, handwriting[asked(collect)]), "Keep")
    collect.text_input(key="nickname").set_value("Eva").run()
    press(collect, "Learn from everybody's drawings")
    assert collect.title[0].value == "Learn from people" and collect.selectbox(key="base_model").value == "cnn"
    assert "Drawings: 1; misread: 0" in said(collect)
