"""See inside: why models read a drawing as they do, in pictures. A part of the draw page."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from digit_core.charts import chart_growth, leave_data_out, tabulate_growth
from digit_core.classifier import share_classifier
from digit_core.explain import find_lookalikes, load_album, paint_ink, retrace, try_changes, weigh_ink
from digit_core.preprocessing import preprocess
from digit_core.settings import read_settings
from digit_core.strokes import place, sketch
from digit_core.types import Drawing, ModelInfo, Prediction, name_of
from pages._shared import Tile, percent, show_tiles, told_errors, wait_for

VIEWS = {"ink": "Which ink", "alike": "Look-alikes", "changes": "What if", "replay": "Replay"}
REPLAY_SIDE, REPLAY_PEN = 140, 9  # pixels
GREY = 90  # of 255: ink that is still to come


@st.fragment
def see_inside(drawing: Drawing, image: np.ndarray, infos: Sequence[ModelInfo], answers: Sequence[Prediction]) -> None:
    """Offer views into the answers; nothing is computed until one is chosen."""
    with st.container(key="see_inside"):
        _show_view(drawing, image, infos, answers)


def _show_view(drawing: Drawing, image: np.ndarray, infos: Sequence[ModelInfo], answers: Sequence[Prediction]) -> None:
    views = [view for view in VIEWS if view != "replay" or drawing.image is None]
    if st.session_state.get("inside") not in views:
        st.session_state.inside = None
    view = st.segmented_control(
        "See inside", views, format_func=VIEWS.__getitem__, key="inside", persist_state="session"
    )
    with told_errors():
        if view == "replay":
            _show_replay(drawing, infos)
        elif view:
            names = {info.model_id: (info, answer) for info, answer in zip(infos, answers, strict=True)}
            of_model = st.segmented_control(
                "Of which model",
                list(names),
                format_func=name_of,
                default=infos[0].model_id,
                required=True,
                label_visibility="collapsed",
                key="inside_model",
                persist_state="session",
            )
            {"ink": _show_ink, "alike": _show_lookalikes, "changes": _show_changes}[view](image, *names[of_model])


def _show_ink(image: np.ndarray, info: ModelInfo, answer: Prediction) -> None:
    """The ink painted by what it does for the answer, and for it against the runner-up."""
    runner_up = int(np.argsort(answer.probabilities)[-2])
    alone, against = weigh_ink(share_classifier(info, read_settings()), image, answer.digit, runner_up)
    told = (f"for a {answer.digit}", alone), (f"for a {answer.digit}, not a {runner_up}", against)
    show_tiles(
        [Tile(paint_ink(image, weights), f"The ink that speaks {words}, in orange", words) for words, weights in told],
        "inside_ink",
        side=140,
    )
    if not answer.is_digit:
        st.caption(f"It does not look like a digit to {name_of(answer.model_id)}: what its ink says means little.")
    st.caption(
        "Orange ink speaks for it, blue ink against it, white ink does neither: the drawing was covered bit by bit and "
        "the model asked again each time."
    )


def _show_lookalikes(image: np.ndarray, info: ModelInfo, answer: Prediction) -> None:
    """The digits that the network finds most like the drawing."""
    settings = read_settings()
    with st.spinner("Looking through thousands of digits, which are drawn the first time", show_time=True):
        album = wait_for(lambda: load_album(settings))
        found = wait_for(lambda: find_lookalikes(share_classifier(info, settings), image, album))
    if not len(found.images):
        st.caption(f"{name_of(answer.model_id)} finds nothing in it that digits have: none is like it.")
        return
    labels = found.labels.tolist()
    tiles = [
        Tile(near, f"a {label} from {album.origin}", f"a {label}", label != answer.digit)
        for near, label in zip(found.images, labels, strict=True)
    ]
    show_tiles([Tile(image, "what you drew", "yours"), *tiles], "inside_alike", side=64)
    agree = labels.count(answer.digit)
    st.caption(
        f"The five most alike of {len(album.images):,} digits ({album.origin}), by what the network makes of them: "
        f"{agree} of 5 {'is' if agree == 1 else 'are'} a {answer.digit}."
    )


def _show_changes(image: np.ndarray, info: ModelInfo, answer: Prediction) -> None:
    """The drawing changed in the ways in which hands differ, and what the model says then."""
    changes = try_changes(share_classifier(info, read_settings()), image)
    tiles = [
        Tile(
            change.image,
            f"{change.name}: read as {change.digit}",
            f"{change.name}<br><b>{change.digit}</b> {percent(change.confidence, 0)}",
            change.digit != answer.digit,
        )
        for change in changes
    ]
    show_tiles(tiles, "inside_changes", side=64)
    flips = [f"{change.name} it is a {change.digit}" for change in changes if change.digit != answer.digit]
    if flips:
        st.caption(f"What flips the answer: {'; '.join(flips)}.")
    else:
        st.caption(f"None of these changes flips the answer: it stays a {answer.digit}.")


def _show_replay(drawing: Drawing, infos: Sequence[ModelInfo]) -> None:
    """The drawing as it grew, with a slider over its strokes, and what the models said then."""
    whole = place(drawing.strokes, REPLAY_SIDE - 2 * REPLAY_PEN, REPLAY_SIDE / 2)
    grown = retrace(whole)
    images = np.array([preprocess(Drawing(strokes)) for strokes in grown])
    settings = read_settings()
    said = {info.model_id: share_classifier(info, settings).predict_all(images) for info in infos}
    step = len(grown)
    if step > 1:
        key = f"inside_step_{hash(tuple(stroke.tobytes() for stroke in drawing.strokes))}"  # another is shown whole
        step = st.slider("Drawn so far (steps)", 1, len(grown), len(grown), key=key)
    to_come, drawn = (sketch(strokes, REPLAY_PEN, REPLAY_SIDE) for strokes in (whole, grown[step - 1]))
    sheet = np.maximum(to_come // 255 * GREY, drawn)
    words = ", ".join(f"{name_of(model_id)} reads {answers[step - 1].digit}" for model_id, answers in said.items())
    with st.container(horizontal=True, key="inside_replay"):
        with st.container(width=REPLAY_SIDE + 16):
            show_tiles([Tile(sheet, f"Step {step} of {len(grown)}: {words}", words)], "inside_sheet", side=REPLAY_SIDE)
        table = tabulate_growth(said, step - 1)
        spec = _spec_of(tuple(said), tuple(sorted(table["digit"].unique())), table)
        st.vega_lite_chart(table, spec, alt="Probability of each digit while the drawing grew, by model", key="growth")


@st.cache_data(max_entries=32, show_spinner=False)
def _spec_of(models: tuple[str, ...], digits: tuple[str, ...], _table: pd.DataFrame) -> dict[str, object]:
    """The chart of these models and digits, without its data."""
    return leave_data_out(chart_growth(_table))
