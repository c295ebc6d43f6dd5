"""The page of models without a browser."""

import json
import os
import shutil
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from apptest import open_app, press, said
from entries import image_of, keep, say
from streamlit.testing.v1 import AppTest

from digit_core.exams import load_exam, take_exam
from digit_core.feedback import FeedbackStore
from digit_core.model_store import load_default, load_info
from digit_core.selection import Selection
from digit_core.settings import STARTERS, read_settings
from digit_core.stress import FILE, load_stress

MNIST = os.environ.get("DIGIT_LAB_MNIST", "")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A file of the stress drawings, which take seconds to draw."""
    settings = replace(read_settings(), data=tmp_path_factory.mktemp("drawn"))
    load_stress(settings)
    return settings.data / FILE


@pytest.fixture(autouse=True)
def without_mnist(private, monkeypatch, drawn):
    """Most machines have no MNIST, and reading it takes seconds; the stress drawings are there."""
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    data = read_settings().data
    data.mkdir()
    shutil.copy(drawn, data)


def look(*model_ids: str) -> AppTest:
    """Open the page and choose models."""
    page = open_app().switch_page("models.py").run()
    if model_ids:
        page.multiselect(key="looked_at").set_value(list(model_ids)).run()
    assert not page.exception
    return page


def table(page: AppTest):
    return page.dataframe[0].value


def read_on(page: AppTest) -> AppTest:
    """Let those read that could not within the time of one look."""
    while buttons := [button for button in page.button if button.key == "examine"]:
        buttons[0].click().run()
    return page


def view(page: AppTest, name: str) -> AppTest:
    return page.segmented_control(key="model_view").set_value(name).run()


def cell(page: AppTest, true: int, read: int) -> AppTest:
    page.selectbox(key="cell_true").set_value(true)
    return page.selectbox(key="cell_read").set_value(read).run()


def kept(**which) -> list:
    with closing(FeedbackStore(read_settings().database_url)) as store:
        return list(store.walk(Selection(**which)))


def opened() -> AppTest:
    """The first stress drawing of a 3 that the CNN reads as a 3."""
    page = cell(look("cnn"), 3, 3)
    return press(page, "3 as 3")


def test_every_model_is_in_the_table_with_its_figures(mine):
    rows = table(read_on(look())).set_index("model")
    assert list(rows.index) == ["CNN", "ANN", "mine"]
    assert rows.loc["CNN", "default"] == "default"
    assert rows.loc["CNN", "mnist"] == pytest.approx(100 * load_info("cnn", read_settings()).test_accuracy)
    assert (rows["stress"] > 95).all()
    assert rows["ece"].between(0, 5).all()
    assert (rows["ms"] > 0).all()
    assert rows.loc["CNN", "size"] == load_info("cnn", read_settings()).size_bytes / 1000


def test_before_a_choice_the_page_says_what_to_do():
    assert "Choose a model" in said(look())


def test_without_any_model_the_page_says_where_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr("digit_core.model_store.STARTERS", tmp_path)
    page = look()
    assert "There is no model. Restore models/ann and models/cnn, or train one" in said(page)
    assert not page.dataframe


def test_damaged_models_are_told_apart_and_stand_in_nobodys_way(mine):
    for model_id in ("garbled", "changed"):
        shutil.copytree(mine, mine.parent / model_id)
    (mine.parent / "garbled" / "metadata.json").write_text("{")
    with (mine.parent / "changed" / "model.tflite").open("ab") as file:
        file.write(b"more")
    page = look()
    assert list(table(page)["model"]) == ["CNN", "ANN", "mine"]
    sentences = [text.value for text in page.text]
    assert any("'garbled' cannot be read" in sentence for sentence in sentences)
    assert any("changed was changed after training" in sentence for sentence in sentences)


def test_a_model_whose_evaluation_was_changed_has_no_calibration_error(mine):
    (mine / "evaluation.json").write_text("{}")
    page = look("mine")
    assert table(page).set_index("model")["ece"].isna().tolist() == [False, False, True]
    view(page, "network")
    assert "evaluation.json of model mine was changed" in said(page)


def test_of_very_many_models_a_few_are_read_at_once_and_the_others_when_they_are_asked_to(mine, monkeypatch):
    def take_slowly(*exam):
        time.sleep(1.1)
        return take_exam(*exam)

    monkeypatch.setattr("digit_core.exams.take_exam", take_slowly)
    page = look()
    assert sorted(table(page)["stress"].notna()) == [False, False, True]
    assert "Models that have not read them yet: 2" in said(page)
    press(page, "Let them read")
    assert table(page)["stress"].notna().all()
    assert "have not read them yet" not in said(page)


def test_a_model_that_waits_is_said_to(mine, monkeypatch):
    monkeypatch.setattr("digit_core.exams.find_marks", lambda info, exam, settings: None)
    monkeypatch.setattr("digit_core.exams.take_exam", lambda info, exam, settings: None)
    assert "Models that have not read them yet: 3" in said(look())


def test_a_model_whose_settings_were_damaged_shows_all_but_its_layers(mine):
    damage = json.loads((mine / "metadata.json").read_text())
    damage["config"]["hidden_units"] = [10**9] * 5
    (mine / "metadata.json").write_text(json.dumps(damage))
    page = view(look("mine"), "network")
    assert "Its layers are not known" in said(page)
    assert any("Learned from" in text.value for text in page.markdown)


def test_a_file_of_mnist_that_is_named_but_not_there_is_told(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_MNIST", "/nowhere/mnist.npz")
    assert "DIGIT_LAB_MNIST names no file" in said(look("cnn"))


def test_without_mnist_the_page_says_so_and_shows_drawings():
    page = look("cnn")
    assert "MNIST is not on this machine" in said(page)
    assert page.segmented_control(key="exam").options == ["Stress drawings", "Feedback"]


def test_with_mnist_its_test_images_are_looked_at(mnist, monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_MNIST", MNIST)
    page = look("ann")
    assert "MNIST is not on this machine" not in said(page)
    assert any("of 10,000 right" in text.value for text in page.markdown)


def test_a_cell_shows_its_images():
    page = cell(look("cnn"), 3, 3)
    assert "A 3, read as 3: 4" in said(page) or "A 3, read as 3: 3" in said(page)
    cell(page, 3, 0)
    assert "It read no 3 as a 0" in said(page)


def test_many_images_are_leafed_through_and_others_begin_with_their_first_leaf():
    page = cell(look("cnn"), 0, 0)

    def shown() -> set[str]:
        return {button.key for button in page.button if button.label.endswith(" as 0")}

    first = shown()
    page.number_input[0].set_value(2).run()
    assert len(first) == len(shown()) == 18 and not first & shown()
    cell(page, 1, 1)
    assert page.number_input[0].value == 1
    cell(page, 0, 0)
    assert len(shown()) == 18


def test_what_is_confused_most_is_looked_at_first():
    page = look("ann")
    true, read = page.selectbox(key="cell_true").value, page.selectbox(key="cell_read").value
    assert true != read
    assert f"A {true}, read as {read}" in said(page)


def test_people_s_drawings_are_looked_at_once_there_are_any():
    page = look("cnn")
    page.segmented_control(key="exam").set_value("feedback").run()
    assert "Nobody has said yet" in said(page)
    keep(say(4, 4, image=image_of(30)))
    page.run()
    assert any("of 1 right" in text.value for text in page.markdown)


def test_an_image_is_opened_on_the_page_draw():
    page = press(opened(), "Open on the page Draw")
    assert not page.exception
    assert page.title[0].value == "Draw a digit"
    assert [metric.value for metric in page.metric if metric.label.endswith("reads")] == ["3", "3"]
    assert page.metric[0].label == "CNN reads"
    press(page, "Right, it is a 3")
    (entry,) = kept()
    assert entry.true_digit == 3
    exam = load_exam("stress", read_settings())
    assert any(np.array_equal(entry.image, image) for image in exam.images)  # it is read as it is


def test_the_cell_that_was_looked_at_is_there_again_after_another_page():
    page = cell(look("cnn"), 3, 3)
    page = page.switch_page("draw.py").run().switch_page("models.py").run()
    assert [page.selectbox(key=key).value for key in ("cell_true", "cell_read")] == [3, 3]


def test_an_image_is_given_to_feedback_once_and_taken_back():
    page = opened()
    page.selectbox(key="given_label").set_value(8).run()
    press(page, "Give to feedback")
    (entry,) = kept()
    assert (entry.true_digit, entry.answers[0]["model_id"], entry.answers[0]["digit"]) == (8, "cnn", 3)
    assert entry.comment.startswith("Stress drawing")
    assert "Given to feedback as 8" in said(page)
    press(page, "Undo")
    assert kept() == []
    press(page, "Give to feedback")
    assert [entry.true_digit for entry in kept()] == [3]


def test_a_label_that_is_wrong_is_marked_and_the_mark_undone():
    page = press(opened(), "Its label is wrong")
    assert "its label is wrong" in said(page)
    assert kept() == []  # nothing learns from it
    (entry,) = kept(verdict="unjudged")
    assert entry.comment.startswith("The label 3 of stress drawing")
    press(page, "Undo")
    assert kept(verdict="unjudged") == []
    press(page, "Its label is wrong")
    assert len(kept(verdict="unjudged")) == 1


def test_what_another_session_gave_is_its_own():
    page = opened()
    press(page, "Its label is wrong")
    page.session_state["session_id"] = "another"
    page.run()
    assert not [button for button in page.button if button.label == "Undo"]
    press(page, "Its label is wrong")
    assert len(kept(verdict="unjudged")) == 2


def test_a_database_out_of_reach_takes_only_feedback_away(monkeypatch, private):
    page = opened()
    (private / "folder").mkdir()
    monkeypatch.setenv("DIGIT_LAB_DATABASE_URL", f"sqlite:///{private / 'folder'}")
    page.run()
    assert [button for button in page.button if button.label == "Open on the page Draw"]
    assert page.error


def test_two_models_are_compared_on_the_same_images(mine):
    page = look("cnn", "ann", "mine")
    assert "Compared" in said(page)
    charts = page.get("vega_lite_chart")
    assert len(charts) == 2
    assert "There is no record of how these were trained: CNN, ANN, mine" in said(page)
    next(box for box in page.selectbox if box.label == "Reads it").set_value("ann").run()
    other = next(box for box in page.selectbox if box.label == "Does not")
    assert "ann" not in other.options
    other.set_value("mine").run()
    assert "ANN reads nothing that mine misreads" in said(page)


def test_models_that_were_trained_here_show_how_they_learned(trained):
    page = look("cnn", trained)
    assert len(page.get("vega_lite_chart")) == 4
    page.segmented_control(key="exam").set_value("feedback").run()
    assert "Nobody has said yet" in said(page)
    assert len(page.get("vega_lite_chart")) == 2, "how they learned, whatever there is to read"


def test_a_model_tells_its_layers_and_settings():
    page = view(look("cnn"), "network")
    layers = page.dataframe[1].value
    assert layers["layer"].iloc[0] == "Convolution 3 × 3"
    assert layers["parameters"].sum() == 170_914
    assert "170,914 parameters and 16,435,008 multiplications for a look" in said(page)


def test_of_an_imported_model_the_layers_are_not_known(mine):
    values = json.loads((mine / "metadata.json").read_bytes())
    (mine / "metadata.json").write_text(json.dumps(values | {"imported": True}))
    assert "Its layers are not known" in said(view(look("mine"), "network"))


def test_a_model_is_offered_in_every_form_unless_a_file_was_changed(mine):
    page = view(look("mine"), "files")
    assert len(page.get("download_button")) == 4
    with (mine / "model.keras").open("ab") as file:
        file.write(b"more")
    page.run()
    assert "model.keras of model mine was changed" in said(page)
    assert not page.get("download_button")


def test_a_model_is_made_the_default_deleted_and_brought_back(mine):
    page = press(look("mine"), "Use this model")
    assert load_default(read_settings()) == "mine"
    press(page, "Delete")
    assert "mine is deleted. CNN reads now." in said(page)
    assert list(table(page)["model"]) == ["CNN", "ANN"]
    press(page, "Undo")
    assert list(table(page)["model"]) == ["CNN", "ANN", "mine"]
    assert load_default(read_settings()) == "mine"


def test_a_starter_cannot_be_deleted():
    assert not [button for button in look("ann").button if button.label == "Delete"]
    assert (STARTERS / "ann").exists()


def test_a_model_that_is_deleted_elsewhere_is_not_looked_at_any_more(mine):
    page = look("mine")
    shutil.rmtree(mine)
    page.run()
    assert "Choose a model" in said(page)


def test_a_choice_outlives_a_change_of_page():
    page = look("ann")
    page.switch_page("draw.py").run().switch_page("models.py").run()
    assert page.multiselect(key="looked_at").value == ["ann"]
