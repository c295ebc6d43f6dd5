"""Models side by side: which reads best, in what they differ, where one errs; use one, take it out, delete it."""

import time
from functools import partial

import pandas as pd
import streamlit as st

from digit_core.errors import DigitError, ModelUnavailable
from digit_core.exams import Exam, Marks, find_marks, load_exam, take_exam
from digit_core.model_store import list_damaged, list_models, load_default, load_evaluation
from digit_core.settings import read_settings
from digit_core.types import ModelInfo, name_of
from pages._gallery import close_image
from pages._model import show_model
from pages._models_compared import MOST_COMPARED, compare_models
from pages._run import follow_link
from pages._run_actions import show_outcome
from pages._shared import MINUTES, told_errors, wait_for

STEP_S, LONG_STEP_S = 1.0, 30.0  # in which models take the exam, before the page is shown
FEW = 3  # damaged models, whose sentences are shown unasked
state = st.session_state
settings = read_settings()
follow_link()


def pick() -> None:
    """Look at the models that were chosen in the table."""
    rows = state[table_key()]["selection"]["rows"]
    state.looked_at = [ids[row] for row in rows if row < len(ids)][:MOST_COMPARED]


def table_key() -> str:
    """Another list, or another choice beside the table: another table, with nothing chosen in it."""
    return f"models_{hash(tuple(ids))}_{state.get('named', 0)}"


def name_models() -> None:
    state.named = state.get("named", 0) + 1


def examine(infos: list[ModelInfo], exam: Exam) -> tuple[dict[str, Marks], dict[str, str]]:
    """How the models did in an exam, and what is wrong with those that cannot take it.

    As many take it now as there is time for: those that are looked at first.
    """
    wanted = state.get("looked_at", [])
    end = time.monotonic() + (LONG_STEP_S if state.pop("read_on", False) else STEP_S)
    marks: dict[str, Marks] = {}
    broken: dict[str, str] = {}
    bar = st.empty()
    for info in sorted(infos, key=lambda info: info.model_id not in wanted):
        try:
            found = find_marks(info, exam, settings)
            if found is None and time.monotonic() < end:
                bar.progress(len(marks) / len(infos), f"{name_of(info.model_id)} reads the stress drawings")
                wait_for(partial(take_exam, info, exam, settings))
                found = find_marks(info, exam, settings)
            if found:
                marks[info.model_id] = found
        except ModelUnavailable as error:
            broken[info.model_id] = str(error)
    bar.empty()
    return marks, broken


def calibration_error(info: ModelInfo) -> float | None:
    """In percentage points, on its test images; None where what was measured is damaged."""
    try:
        return 100 * load_evaluation(info, settings).ece
    except DigitError:
        return None


def show_table(infos: list[ModelInfo], marks: dict[str, Marks]) -> None:
    default = load_default(settings)
    number = st.column_config.NumberColumn
    table = pd.DataFrame(
        {
            "model": [name_of(info.model_id) for info in infos],
            "default": ["default" if info.model_id == default else "" for info in infos],
            "kind": [info.architecture.upper() for info in infos],
            "mnist": [100 * info.test_accuracy if info.tested_on == "MNIST" else None for info in infos],
            "stress": [100 * marks[info.model_id].accuracy if info.model_id in marks else None for info in infos],
            "ece": [calibration_error(info) for info in infos],
            "size": [info.size_bytes / 1000 for info in infos],
            "ms": [marks[info.model_id].ms if info.model_id in marks else None for info in infos],
            "parent": [name_of(info.parent_id or "") for info in infos],
            "made": pd.to_datetime([info.created_at for info in infos], utc=True),
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "model": st.column_config.TextColumn(pinned=True),
            "mnist": number("MNIST test right", format="%.2f %%", help="Of MNIST's 10,000 test images"),
            "stress": number("stress right", format="%.2f %%", help="Of 400 drawings that are hard to read"),
            "ece": number("calibration error", format="%.2f %%", help="On its test images: 0 % is best"),
            "size": number("size (KB)", format="%.0f", help="Of the network that serves"),
            "ms": number("ms an image", format="%.2f", help="On this machine, one by one"),
            "parent": st.column_config.TextColumn("began as"),
            "made": st.column_config.DatetimeColumn("made (UTC)", format=MINUTES, timezone="UTC"),
        },
        placeholder="–",
        on_select=pick,
        selection_mode="multi-row",
        key=table_key(),
        alt="All models with their accuracy, calibration error, size and speed; the field below chooses them too",
    )


st.title("Models")
ids: list[str] = []
broken: dict[str, str] = {}
with told_errors():
    show_outcome(settings)
    infos = list_models(settings)
    ids = [info.model_id for info in infos]
    if gone := [model_id for model_id in state.get("looked_at", []) if model_id not in ids]:
        st.toast(f"Not there any more: {', '.join(gone)}.", icon=":material/delete:")
        close_image()
    state.looked_at = [model_id for model_id in state.get("looked_at", []) if model_id in ids]
    with st.spinner("Drawing the stress drawings"):
        stress = wait_for(lambda: load_exam("stress", settings))
    marks, broken = examine(infos, stress)
    sound = [info for info in infos if info.model_id not in broken]
    ids = [info.model_id for info in sound]
    state.looked_at = [model_id for model_id in state.looked_at if model_id in ids]
    if not sound:
        raise ModelUnavailable("There is no model. Restore models/ann and models/cnn, or train one on the page Train.")
    show_table(sound, marks)
    st.caption(
        "Stress drawings are digits that the program draws small, bold, tilted, as pictures and as photographs, always "
        "the same ones. Models that learned from drawings of all kinds know their kind."
    )
    if waiting := len(sound) - len(marks):
        with st.container(horizontal=True, vertical_alignment="center", key="waiting"):
            st.caption(f"Models that have not read them yet: {waiting:,}.", width="content")
            st.button(
                "Let them read",
                icon=":material/play_arrow:",
                key="examine",
                on_click=state.update,
                args=[{"read_on": True}],
            )
    st.multiselect(
        "Models to look at",
        ids,
        format_func=name_of,
        key="looked_at",
        on_change=name_models,
        max_selections=MOST_COMPARED,
        placeholder="One to see where it errs, several to compare",
        persist_state="session",
    )
    chosen = [info for info in sound if info.model_id in state.looked_at]
    if not chosen:
        st.info(
            "Choose a model, in the table or by name, to see where it errs and to use it, take it out or delete it; or "
            "several, to compare them.",
            icon=":material/leaderboard:",
        )
    elif len(chosen) == 1:
        show_model(chosen[0], marks.get(chosen[0].model_id), settings)
    else:
        compare_models(chosen, settings)

if damaged := list_damaged(settings) | broken:
    with st.expander(f"Damaged models: {len(damaged)}", len(damaged) <= FEW, icon=":material/error:", key="damaged"):
        for sentence in damaged.values():
            st.text(sentence)
