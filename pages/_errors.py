"""Where one model errs: its confusion matrix, whose cells show their images."""

from functools import partial

import numpy as np
import streamlit as st

from digit_core.charts import chart_confusion
from digit_core.errors import DataUnavailable
from digit_core.evaluation import evaluate
from digit_core.exams import Exam, list_exams, load_exam, take_exam
from digit_core.settings import Settings
from digit_core.types import ModelInfo, name_of
from pages._gallery import close_image, show_gallery
from pages._shared import percent, switch, wait_for

NAMES = {"mnist": "MNIST test images", "stress": "Stress drawings", "feedback": "Feedback"}
state = st.session_state


def choose_exam(settings: Settings) -> Exam | None:
    """Ask for the images to look at, and load them; says so where there are none, or MNIST is not among them."""
    here = list_exams(settings)
    name = switch("Images", {name: NAMES[name] for name in here}, "exam", persist_state="session")
    if "mnist" not in here:
        how = "DIGIT_LAB_MNIST names no file" if settings.mnist else "The page Train downloads it"
        st.caption(f"MNIST is not on this machine, so its test images cannot be shown: these are drawings. {how}.")
    try:
        with st.spinner("Fetching the images"):
            return wait_for(lambda: load_exam(name, settings))
    except DataUnavailable as error:
        st.info(str(error), icon=":material/draw:")
        return None


def read_exam(info: ModelInfo, exam: Exam, settings: Settings) -> np.ndarray:
    """What a model answers, `(N, 10)`; tells what takes seconds the first time. Raises ModelUnavailable."""
    with st.spinner(f"{name_of(info.model_id)} reads {len(exam.images):,} images"):
        return wait_for(lambda: take_exam(info, exam, settings))


def show_errors(info: ModelInfo, settings: Settings) -> None:
    """The confusion matrix, and the images of the cell that is looked at."""
    exam = choose_exam(settings)
    if exam is None:
        return
    probabilities = read_exam(info, exam, settings)
    evaluation = evaluate(exam.y_true, probabilities)
    st.markdown(
        f"**{percent(evaluation.accuracy, 2)}** of {len(exam.images):,} right, {len(evaluation.mistakes):,} wrong."
    )
    _open_worst(evaluation.confusion_matrix, (info.model_id, exam.name))
    cell = state.cell_true, state.cell_read
    left, right = st.columns(2, gap="large")
    with left:
        key = f"matrix_{info.model_id}_{exam.name}_{state.get('cell_named', 0)}"
        st.altair_chart(
            chart_confusion(evaluation.confusion_matrix, cell),
            on_select=partial(_pick_cell, key),
            selection_mode="cell",
            key=key,
            alt="How often each digit was read as each other; the two fields beside it choose a cell as a click does",
        )
    with right:
        with st.container(horizontal=True, key="cell"):
            for label, of in (("It is a", "cell_true"), ("Read as", "cell_read")):
                st.selectbox(label, range(10), key=of, on_change=_name_cell, width=110, persist_state="session")
        _show_cell(info, exam, probabilities)


def _open_worst(confusion_matrix: np.ndarray, of: tuple[str, str]) -> None:
    """Look at what is confused most often, when other answers are looked at than before."""
    if state.get("cell_of") != of or "cell_true" not in state:
        off = confusion_matrix - np.diag(confusion_matrix.diagonal())
        true, read = np.unravel_index(off.argmax(), off.shape)
        state.cell_of, state.cell_true, state.cell_read = of, int(true), int(read)
        close_image()


def _pick_cell(key: str) -> None:
    if cells := state[key]["selection"]["cell"]:
        state.cell_true, state.cell_read = int(cells[0]["true"]), int(cells[0]["predicted"])
        close_image()


def _name_cell() -> None:
    """A cell chosen by name: another matrix, in which the one that was clicked can be clicked again."""
    state.cell_named = state.get("cell_named", 0) + 1
    close_image()


def _show_cell(info: ModelInfo, exam: Exam, probabilities: np.ndarray) -> None:
    true, read = state.cell_true, state.cell_read
    y_pred, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    places = np.flatnonzero((exam.y_true == true) & (y_pred == read))
    order = confidence[places] if true == read else -confidence[places]
    places = places[np.argsort(order, kind="stable")]
    if not len(places):
        st.info(f"It read no {true} as a {read}. Choose a cell with a number.", icon=":material/grid_on:")
        return
    how = "the least sure first" if true == read else "the surest first"
    st.caption(f"A {true}, read as {read}: {len(places):,}, {how}.")
    show_gallery(exam, places, info, probabilities)
