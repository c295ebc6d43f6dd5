"""Why a model reads a drawing as it does, on the draw page without a browser."""

from itertools import cycle

import numpy as np
import pytest
from apptest import draw, open_app, png, said, upload

from digit_core import explain
from digit_core.bank import Bank
from digit_core.classifier import Network
from digit_core.strokes import sketch
from digit_core.synthetic import draw_digits


@pytest.fixture
def app():
    return open_app()


@pytest.fixture(autouse=True)
def few_to_compare_with(monkeypatch):
    images, labels = draw_digits(100, seed=4)
    monkeypatch.setattr(explain, "find_mnist", lambda settings: None)
    monkeypatch.setattr(explain, "load_bank", lambda settings: Bank(images, labels, images))
    explain._open_album.cache_clear()
    yield
    explain._open_album.cache_clear()


def choose(app, view):
    return app.segmented_control(key="inside").set_value(view).run()


def slider(app):
    return next(each for each in app.slider if each.key.startswith("inside_step"))


def pictures(app):
    """What is said of the view's pictures to who cannot see them: of all but the image that the network saw."""
    assert not app.exception
    markup = "".join(element.proto.body for element in app.get("html"))
    words = [part.split('"')[0] for part in markup.split('alt="')[1:]]
    return [each for each in words if not each.endswith(" saw")]


def test_nothing_is_computed_until_a_view_is_chosen(app, handwriting):
    assert pictures(draw(app, handwriting[7])) == []


def test_the_ink_is_painted_for_the_answer_and_against_the_runner_up(app, handwriting):
    words = pictures(choose(draw(app, handwriting[7]), "ink"))
    assert words[0] == "The ink that speaks for a 7, in orange"
    assert words[1].startswith("The ink that speaks for a 7, not a ")
    assert "covered bit by bit" in said(app)


def test_where_the_network_finds_nothing_no_digit_is_said_to_be_alike(app, handwriting, monkeypatch):
    monkeypatch.setattr(Network, "features", lambda self, images: np.zeros((len(images), 8), np.float32))
    choose(draw(app, handwriting[7]), "alike")
    assert "CNN finds nothing in it that digits have" in said(app)
    assert "The five most alike" not in said(app)


def test_the_most_alike_digits_are_shown_beside_the_drawing(app, handwriting):
    words = pictures(choose(draw(app, handwriting[7]), "alike"))
    assert (len(words), words[0]) == (6, "what you drew")
    assert all(word.endswith("from synthetic digits") for word in words[1:])
    assert "The five most alike of 100 digits" in said(app)


def test_changes_are_read_again_and_named_when_they_flip_the_answer(app, handwriting):
    words = pictures(choose(draw(app, handwriting[7]), "changes"))
    assert words[:2] == ["as it is: read as 7", "thicker: read as 7"]
    assert "flips the answer" in said(app)


def test_another_model_can_be_looked_into(app, handwriting):
    choose(draw(app, handwriting[7]), "changes")
    before = pictures(app)
    app.segmented_control(key="inside_model").set_value("ann").run()
    assert len(pictures(app)) == len(before) == 9


def test_a_replay_shows_the_drawing_as_it_grew(app, handwriting):
    words = pictures(choose(draw(app, handwriting[4]), "replay"))
    steps = int(slider(app).max)
    assert words == [f"Step {steps} of {steps}: CNN reads 4, ANN reads 4"]
    slider(app).set_value(1).run()
    assert pictures(app)[0].startswith(f"Step 1 of {steps}: CNN reads ")


def test_a_dot_is_replayed_without_a_slider(app):
    words = pictures(choose(draw(app, [np.array([[0.5, 0.5], [0.5, 0.5]])]), "replay"))
    assert len(words) == 1 and words[0].startswith("Step ")


def test_a_shorter_drawing_is_replayed_after_a_longer_one(app, handwriting):
    choose(draw(app, handwriting[4]), "replay")
    slider(app).set_value(4).run()
    (words,) = pictures(draw(app, [np.array([[0.5, 0.1], [0.5, 0.9]])]))
    assert words.startswith("Step 2 of 2: ")


def test_a_picture_has_no_strokes_to_replay(app, handwriting):
    upload(app, "7.png", png(255 - sketch([stroke * 200 + 40 for stroke in handwriting[7]], 20)))
    assert "Replay" not in app.segmented_control(key="inside").options
    assert pictures(choose(app, "changes"))[0] == "as it is: read as 7"


def test_a_view_of_strokes_gives_way_when_a_picture_comes(app, handwriting):
    choose(draw(app, handwriting[7]), "replay")
    upload(app, "7.png", png(255 - sketch([stroke * 200 + 40 for stroke in handwriting[7]], 20)))
    assert not app.exception


def test_what_is_no_digit_is_told_and_can_still_be_judged(app):
    hash_sign = [[(0.3, 0), (0.2, 1)], [(0.7, 0), (0.6, 1)], [(0, 0.35), (1, 0.35)], [(0, 0.65), (1, 0.65)]]
    draw(app, [np.array(stroke) for stroke in hash_sign])
    assert "does not look like a digit" in said(app)
    assert any(button.label == "no digit" for button in app.button)
    assert not any("times in" in text.value for text in app.markdown), "that is known of digits alone"


def test_a_digit_is_not_called_none(app, handwriting):
    assert "does not look like a digit" not in said(draw(app, handwriting[2]))


@pytest.mark.parametrize(("scores", "told"), [((0.9, 0.9), True), ((0.9, 0.1), False)])
def test_models_disagree_only_where_they_take_it_for_a_digit(app, handwriting, monkeypatch, scores, told):
    judges: list[Network] = []

    def judge(self, images):
        if self not in judges:
            judges.append(self)
        place = judges.index(self)
        return np.tile(np.eye(10, dtype=np.float32)[place], (len(images), 1)), np.full(len(images), scores[place])

    monkeypatch.setattr(Network, "judge", judge)
    assert ("The models disagree" in said(draw(app, handwriting[2]))) == told


def test_models_that_disagree_are_not_called_right(app, handwriting, monkeypatch):
    assert any(button.label == "Right, it is a 2" for button in draw(app, handwriting[2]).button)
    answers = cycle(np.eye(10, dtype=np.float32)[[2, 3]])
    monkeypatch.setattr(Network, "judge", lambda self, images: (next(answers)[None], np.ones(1)))
    draw(app, handwriting[3])
    assert not any(button.label.startswith("Right") for button in app.button)
    app.button(key="correct_2").click().run()
    assert "Logged: it is 2, read as 2 and 3" in said(app)


def test_a_confidence_is_told_as_how_often_it_is_right(app, handwriting):
    draw(app, handwriting[2])
    assert sum("times in 1,000" in text.value for text in app.markdown) == 2
