"""The form of the train page without a browser: settings, images, and what they start."""

import dataclasses
import importlib.util
import re

import pytest
from apptest import open_app, press, said

from digit_core import datasets, downloads, runs
from digit_core.presets import CONFIGS, PRESETS
from digit_core.settings import read_settings
from digit_core.types import TrainConfig


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
    monkeypatch.setattr(runs, "start_run", lambda config, *rest: configs.append(config) or "cnn-1")
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


def test_a_run_gets_the_name_that_it_was_given(train, monkeypatch):
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: None)
    train.text_input(key="run_name").set_value("Meine erste!").run()
    press(press(train, "Train"), "Train")  # a double-click
    assert [run.run_id for run in runs.list_runs(read_settings())] == ["meine-erste"]
    train.session_state["pressed_at"] = -10.0
    train.text_input(key="run_name").set_value("Meine erste!").run()
    assert "will be called meine-erste-2." in said(train)
    press(train, "Train")
    assert [run.run_id for run in runs.list_runs(read_settings())] == ["meine-erste-2", "meine-erste"]
    assert "meine-erste-2: queued" in said(train)


def test_each_field_is_called_as_its_setting_is_called_elsewhere(train):
    from pages._form import words_of  # not before a page was shown: it loads the canvas

    fields = [*train.text_input, *train.number_input, *train.slider, *train.toggle, *train.selectbox]
    fields = [field for field in fields if field.key in vars(TrainConfig())]
    assert len(fields) > 15
    assert {field.label for field in fields} == {words_of(field.key) for field in fields}


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
    assert re.search(r",000 images. It can read in about .*\d (s|min)", said(train))


def test_without_mnist_on_this_machine_synthetic_digits_are_proposed(monkeypatch, private):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    page = open_app().switch_page("train.py").run()
    assert page.segmented_control(key="base").value == "synthetic"
    assert "is not on this machine yet" in said(page)
    assert "mnist.npz" in page.button(key="download_mnist").help
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
    assert "are not on this machine yet: download them" in said(page)
    assert page.button(key="train").disabled
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


def test_models_that_cannot_be_stored_are_told_in_a_sentence(train, private):
    (private / "models").write_text("a file where the folder should be")
    press(train, "Train")
    assert "could not be" in train.error[0].value


def test_a_teacher_is_chosen(train, started):
    train.selectbox(key="teacher_id").set_value("cnn").run()
    press(train, "Train")
    assert started[0].teacher_id == "cnn"


def test_what_somebody_typed_is_not_taken_for_markdown(train):
    train.text_input(key="filters").set_value("**b** :red[x] $x$").run()
    assert train.error[0].value.startswith(r"The filters are '\*\*b\*\* \:red\[x\] \$x\$'")
