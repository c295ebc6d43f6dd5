import dataclasses

import pytest

from digit_core.exams import Marks
from digit_core.model_archive import export_model
from digit_core.model_card import list_figures, list_settings, list_sources, write_card
from digit_core.model_store import load_evaluation, load_info


@pytest.fixture
def info(settings):
    return load_info("cnn", settings)


def test_a_card_tells_the_figures_and_what_they_were_measured_on(info, settings):
    card = write_card(info, load_evaluation(info, settings), Marks(0.9875, 0.01, 0.21))
    assert card.startswith("# `cnn`\n")
    assert f"| Right on 10,000 MNIST test images | {100 * info.test_accuracy:.2f} % |" in card
    assert "| Right on 400 stress drawings | 98.75 % |" in card
    assert "| Time for an image, where this was written | 0.21 ms |" in card
    assert info.sha256["model.tflite"] in card
    assert "stress" not in write_card(info, load_evaluation(info, settings))


def test_a_card_names_whose_data_were_learned_from_and_under_which_licence(info):
    sources = "\n".join(list_sources(info))
    assert "Yann LeCun, Corinna Cortes, Christopher Burges. CC BY-SA 3.0" in sources
    assert "E. Alpaydin and F. Alimoglu" in sources
    assert "CC BY 4.0" in sources
    synthetic = dataclasses.replace(info, dataset="synthetic")
    assert list_sources(synthetic) == ["Digits drawn by the program itself."]


def test_a_card_names_the_models_that_one_came_from(info):
    taught = dataclasses.replace(info, config=dataclasses.replace(info.config, teacher_id="wise"))
    assert "`wise`" in "\n".join(list_sources(taught))
    lesson = dataclasses.replace(
        info, dataset="mnist+feedback", config=dataclasses.replace(info.config, base_model_id="base", visitor="Ada")
    )
    assert "It began as `base`" in "\n".join(list_sources(lesson))
    assert "Drawings of people" in "\n".join(list_sources(lesson))


def test_a_card_names_no_person(info, settings):
    lesson = dataclasses.replace(info, config=dataclasses.replace(info.config, base_model_id="cnn", visitor="Ada"))
    assert "Ada" not in write_card(lesson, load_evaluation(info, settings))


def test_of_an_imported_model_the_card_knows_neither_data_nor_settings(info, settings):
    imported = dataclasses.replace(info, imported=True)
    assert list_sources(imported) == ["It was made elsewhere: what it learned from is not known here."]
    figures = [list_figures(each, load_evaluation(info, settings), None) for each in (info, imported)]
    assert ["Right while it trained, on images made harder for it" in each for each in figures] == [True, False]
    cards = [write_card(each, load_evaluation(info, settings)) for each in (info, imported)]
    assert ["## Settings" in card for card in cards] == [True, False]
    assert ["on images that it did not learn from" in card for card in cards] == [True, False]


def test_settings_that_the_kind_does_not_read_are_left_out(info, settings):
    assert "hidden_units" not in list_settings(info.config)
    assert "filters" not in list_settings(load_info("ann", settings).config)


def test_a_card_is_exported_with_what_the_model_reads_of_the_stress_drawings(info, settings):
    card = export_model(info, ".md", settings).decode()
    assert "| Right on 400 stress drawings | 9" in card
