"""The settings of a training, as a form: its widgets are named by the fields of TrainConfig."""

import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, get_args

import streamlit as st

from digit_core.architectures import measure_network
from digit_core.datasets import (
    ADDITIONS,
    BASES,
    MNIST_URL,
    OF_PEN_DIGITS,
    check_dataset,
    check_validation,
    count_images,
    download_mnist,
    find_mnist,
)
from digit_core.errors import DigitError, InvalidConfig
from digit_core.model_card import list_settings
from digit_core.model_store import list_models
from digit_core.pen_digits import download_pen_digits, find_pen_digits
from digit_core.presets import CONFIGS, PRESETS, find_preset, forecast
from digit_core.settings import Settings
from digit_core.training import check_config
from digit_core.types import FOR_ANN, FOR_CNN, Architecture, Optimizer, Padding, Schedule, TrainConfig, name_of
from pages._shared import estimate, percent, tell, told_errors, wait_for

IMAGES = {
    "mnist": "MNIST",
    "synthetic": "Synthetic digits",
    "pen-digits": "Pen strokes",
    "feedback": "Feedback",
    "drawings": "Drawings of all kinds",
}
LABELS = {  # of settings whose names do not say it
    "architecture": "Network",
    "dataset": "Images",
    "convolutions": "Convolutions in a block",
    "global_pooling": "Average over the image",
    "batch_norm": "Batch normalisation",
    "elastic": "Bend",
    "teacher_id": "Teacher",
    "validation_fraction": "Validation share",
    "time_budget_s": "Time budget (seconds)",
    "base_model_id": "Began as",
    "since": "Drawings since",
    "until": "Drawings until",
}
TUPLES = ("hidden_units", "filters", "kernel_sizes", "dense_units")
NO_TEACHER = "No teacher"
KEPT: Any = {"persist_state": "session"}
state = st.session_state


def ask_basics(settings: Settings) -> None:
    """Ask for the network, a preset and the images."""
    if state.pop("fetched", None) == "MNIST":
        state.base = "mnist"
    if "preset" not in state:
        fill(CONFIGS["cnn", "quick-look"], settings)
    st.segmented_control(
        "Network",
        get_args(Architecture),
        required=True,
        format_func=str.upper,
        key="architecture",
        help="ANN: dense layers, each dot joined to each unit. CNN: convolutions, stencils that slide over the image.",
        on_change=_follow_preset,
        args=[settings],
        **KEPT,
    )
    st.segmented_control(
        "Preset",
        PRESETS,
        format_func=lambda preset: preset.replace("-", " ").capitalize(),
        key="preset",
        help="Settings that are known to work. Change what you like below.",
        on_change=_follow_preset,
        args=[settings],
        wrap=True,
        **KEPT,
    )
    words: Any = {"format_func": IMAGES.__getitem__}
    st.segmented_control("Images", BASES, required=True, key="base", on_change=_tidy_added, wrap=True, **words, **KEPT)
    _offer_mnist(settings)
    added = [name for name in ADDITIONS if name != state.base]
    help = "More images to train on; what validates and tests stays as it is"
    st.pills("Add", added, selection_mode="multi", key="added", help=help, wrap=True, **words, **KEPT)
    _offer_pen_digits(settings)


def ask_details(settings: Settings) -> None:
    """Ask for the network's layers, and for how it learns."""
    with st.expander("Layers"):
        _ask_layers()
    with st.expander("Learning"):
        _ask_learning(settings)


def read_form(settings: Settings, pace: float) -> TrainConfig | None:
    """What was chosen, and how long it will take; None while a value is wrong, which a sentence says, or images lack.

    pace: how many times as long as estimated a training takes on this machine.
    """
    if _lacks_pen_digits(settings):
        return None
    try:
        config = _to_config()
        check_config(config)
        check_dataset(config.dataset, settings)
        check_validation(config.dataset, config.validation_fraction)
        parameters, _ = measure_network(config)
        seconds = sum(forecast(config, settings, pace))
    except DigitError as error:
        tell(str(error))
        return None
    st.caption(
        f"{parameters:,} parameters, {count_images(config.dataset):,} images. It can read in {estimate(seconds)}."
    )
    return config


def image_words(dataset: str) -> str:
    """The images of a data set: `MNIST + Synthetic digits`."""
    return " + ".join(IMAGES.get(part, part) for part in dataset.split("+"))


def words_of(setting: str) -> str:
    """What a setting is called where people choose it."""
    return LABELS.get(setting, setting.replace("_", " ").capitalize())


def tell_settings(config: TrainConfig) -> dict[str, str]:
    """The settings of a training as people read them, by what these are called."""
    told = list_settings(config) | {
        "architecture": config.architecture.upper(),
        "dataset": image_words(config.dataset),
        "validation_fraction": percent(config.validation_fraction),
    }
    return {words_of(name): words for name, words in told.items()}


def fill(config: TrainConfig, settings: Settings) -> None:
    """Set the widgets to a config."""
    for name, value in asdict(config).items():
        if name not in ("dataset", "base_model_id", "visitor", "since", "until"):
            state[name] = ", ".join(map(str, value)) if name in TUPLES else value
    state.teacher_id = config.teacher_id or NO_TEACHER
    base, *added = config.dataset.split("+")
    state.base = base if base == "synthetic" or find_mnist(settings) else "synthetic"
    state.added = [name for name in added if name != state.base]
    state.preset = find_preset(config)


def _follow_preset(settings: Settings) -> None:
    """Take a preset's settings, and its images but for what the person chose: the base, strokes and feedback."""
    if state.preset:
        preset = CONFIGS[state.architecture, state.preset]
        own = [name for name in state.added if name not in ("synthetic", state.base)]
        proposed = [name for name in preset.dataset.split("+")[1:] if name != state.base]
        fill(replace(preset, dataset="+".join([state.base, *proposed, *own]), seed=state.seed), settings)


def _tidy_added() -> None:
    state.added = [name for name in state.added if name != state.base]


def _leave_preset() -> None:
    state.preset = None


def _lacks_pen_digits(settings: Settings) -> bool:
    wanted = OF_PEN_DIGITS & set(state.added)
    return bool(wanted) and not (settings.pen_digits or find_pen_digits(settings))


def _offer_pen_digits(settings: Settings) -> None:
    """Where pen strokes are wanted and not on the machine, say so, and fetch them if asked to."""
    if not _lacks_pen_digits(settings):
        return
    st.caption(
        "Pen strokes of 30 writers, from the UCI repository, are not on this machine yet: download them, or choose "
        "other images."
    )
    if st.button("Download pen strokes (6 MB)", icon=":material/download:", key="download_pen_digits"):
        _download("pen strokes", download_pen_digits, settings)


def _offer_mnist(settings: Settings) -> None:
    """Where MNIST is not on the machine, say so, and fetch it if asked to."""
    if find_mnist(settings):
        return
    st.caption(
        "MNIST, 70,000 handwritten digits, is not on this machine yet. Synthetic digits, drawn by the program, need "
        "no download."
    )
    by_hand = f"To put it here by hand, save [mnist.npz]({MNIST_URL}) in `{settings.data}`."
    if st.button("Download MNIST (11 MB)", icon=":material/download:", key="download_mnist", help=by_hand):
        _download("MNIST", download_mnist, settings)


def _download(name: str, download: Callable[..., object], settings: Settings) -> None:
    """Fetch a data set and show the page anew; tell why, where that fails."""
    bar = st.progress(0.0, f"Downloading {name}")
    shares = [0.0]
    with told_errors():
        wait_for(
            lambda: download(settings, shares.append),
            lambda: bar.progress(shares[-1], f"Downloading {name}: {percent(shares[-1], 0)}"),
        )
        state.fetched = name
        st.rerun()
    bar.empty()


def _ask_layers() -> None:
    changed: Any = KEPT | {"on_change": _leave_preset}
    if state.architecture == "ann":
        st.text_input("Hidden units", key="hidden_units", help="Of each layer, like 512, 256", **changed)
    else:
        st.text_input("Filters", key="filters", help="Of each block, like 16, 32, 64", **changed)
        help = "Side of the kernels in pixels: one for all blocks, or one each, like 5, 3"
        st.text_input("Kernel sizes", key="kernel_sizes", help=help, **changed)
        st.number_input(LABELS["convolutions"], 1, 4, key="convolutions", **changed)
        help = "same: the image keeps its size. valid: it loses its border."
        st.segmented_control("Padding", get_args(Padding), required=True, key="padding", help=help, **changed)
        help = "Each filter gives one number, wherever it found something"
        st.toggle(LABELS["global_pooling"], key="global_pooling", help=help, **changed)
        st.text_input("Dense units", key="dense_units", help="Of each layer before the output; may be empty", **changed)
    help = "Normalise each layer over the batch: learns steadily, takes longer"
    st.toggle(LABELS["batch_norm"], key="batch_norm", help=help, **changed)
    st.slider("Dropout", 0.0, 0.9, step=0.05, key="dropout", help="Share of units left out while training", **changed)


def _ask_learning(settings: Settings) -> None:
    changed: Any = KEPT | {"on_change": _leave_preset}
    st.number_input("Epochs", 1, 1000, key="epochs", help="Times through the training images", **changed)
    st.number_input("Batch size", 1, 4096, key="batch_size", help="Images in one step", **changed)
    help = "The largest step; the schedule says how it moves"
    st.number_input("Learning rate", 1e-6, 1.0, step=1e-3, format="%.4f", key="learning_rate", help=help, **changed)
    st.selectbox("Schedule", get_args(Schedule), key="schedule", **changed)
    st.selectbox("Optimizer", get_args(Optimizer), key="optimizer", **changed)
    help = "Turn, stretch, slant, shift, thicken and thin the images: for drawings unlike MNIST's"
    st.toggle("Augment", key="augment", help=help, **changed)
    help = "How far ink is moved when images are bent, in pixels; 0: not at all"
    st.slider(LABELS["elastic"], 0.0, 5.0, step=0.1, key="elastic", help=help, **changed)
    help = "The share of certainty taken from each label and given to all digits"
    st.slider("Label smoothing", 0.0, 0.5, step=0.01, key="label_smoothing", help=help, **changed)
    teachers = [NO_TEACHER, *(info.model_id for info in list_models(settings) if not info.imported)]
    if state.teacher_id not in teachers:
        state.teacher_id = NO_TEACHER
    help = "A model whose answers are half of what is learned"
    st.selectbox(LABELS["teacher_id"], teachers, format_func=name_of, key="teacher_id", help=help, **changed)
    help = "Of the training images, held out to see how it does on new ones"
    st.slider(
        LABELS["validation_fraction"],
        0.01,
        0.5,
        step=0.001,
        format="percent",
        key="validation_fraction",
        help=help,
        **changed,
    )
    help = "Epochs to wait for a better validation loss; 0: to the end"
    st.number_input("Early stopping", 0, 1000, key="early_stopping", help=help, **changed)
    help = "The schedule fits itself into it; 0: no limit"
    st.number_input(LABELS["time_budget_s"], 0.0, 86400.0, step=10.0, key="time_budget_s", help=help, **changed)
    help = "The same seed, the same start"
    st.number_input("Seed", 0, 2**31 - 1, key="seed", help=help, **KEPT)


def _to_config() -> TrainConfig:
    unread = FOR_CNN if state.architecture == "ann" else FOR_ANN
    values = {name: state[name] for name in asdict(TrainConfig()) if name in state and name not in unread}
    numbers = {name: _read_numbers(name, values[name]) for name in TUPLES if name in values}
    values["teacher_id"] = None if state.teacher_id == NO_TEACHER else state.teacher_id
    return TrainConfig(**values | numbers, dataset="+".join([state.base, *state.added]))


def _read_numbers(name: str, text: str) -> tuple[int, ...]:
    parts = [part for part in text.replace(",", " ").split() if part]
    if not all(re.fullmatch("0|[1-9][0-9]{0,8}", part) for part in parts):  # 1,024 would be two numbers
        words, example = name.replace("_", " "), "5, 3" if name == "kernel_sizes" else "64, 32"
        raise InvalidConfig(
            f"The {words} are {text!r:.60}. Write whole numbers with commas between them, like {example}."
        )
    return tuple(map(int, parts))
