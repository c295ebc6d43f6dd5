"""Several models compared: what they read of each digit, how sure they are, where they differ, how they learned."""

import numpy as np
import streamlit as st

from digit_core.diary import read_events
from digit_core.evaluation import evaluate
from digit_core.exams import Exam
from digit_core.model_charts import chart_digits, chart_reliability, tabulate_reliability
from digit_core.model_store import model_folder
from digit_core.settings import Settings
from digit_core.types import ModelInfo, name_of
from pages._errors import choose_exam, read_exam
from pages._gallery import close_image, show_gallery
from pages._run import show_curves
from pages._shared import percent

MOST_COMPARED = 8  # models: as many as there are colours


def compare_models(infos: list[ModelInfo], settings: Settings) -> None:
    """Compare two or more models on the same images."""
    st.header("Compared", anchor=False)
    exam = choose_exam(settings)
    if exam is not None:
        _show_answers(infos, exam, settings)
    st.markdown("**How they learned**")
    _show_learning([info.model_id for info in infos], settings)


def _show_answers(infos: list[ModelInfo], exam: Exam, settings: Settings) -> None:
    names = {info.model_id: info for info in infos}
    answers = {model_id: read_exam(info, exam, settings) for model_id, info in names.items()}
    evaluations = {model_id: evaluate(exam.y_true, rows) for model_id, rows in answers.items()}
    with st.container(horizontal=True, key="compared_figures"):
        for model_id, evaluation in evaluations.items():
            right = len(exam.images) - len(evaluation.mistakes)
            st.markdown(
                f"**{name_of(model_id)}**: {right:,} of {len(exam.images):,} right ({percent(evaluation.accuracy, 2)})",
                width="content",
            )
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**By digit**")
        recalls = {  # of a digit that is not among the images there is nothing to say
            model_id: np.where(evaluation.support > 0, evaluation.recall, np.nan)
            for model_id, evaluation in evaluations.items()
        }
        st.altair_chart(chart_digits(recalls), key="by_digit", alt="Share of each digit that each model reads right")
    with right:
        st.markdown("**How far confidence can be trusted**")
        tables = {model_id: tabulate_reliability(exam.y_true, rows) for model_id, rows in answers.items()}
        words = "Share of right answers against confidence, by model; a well calibrated model's lie on the diagonal"
        st.altair_chart(chart_reliability(tables), key="reliability", alt=words)
    st.markdown("**What one reads and the other does not**")
    _show_differences(names, exam, answers)


def _show_differences(names: dict[str, ModelInfo], exam: Exam, answers: dict[str, np.ndarray]) -> None:
    ids = list(names)
    pair = hash(tuple(ids))  # other models, another choice
    right = {model_id: rows.argmax(axis=1) == exam.y_true for model_id, rows in answers.items()}
    with st.container(horizontal=True, key="pair"):
        one = st.selectbox("Reads it", ids, 0, name_of, key=f"reads_it_{pair}", on_change=close_image, width=240)
        others = [model_id for model_id in ids if model_id != one]
        only = [int((right[one] & ~right[other]).sum()) for other in others]
        other = st.selectbox(
            "Does not",
            others,
            int(np.argmax(only)),
            name_of,
            key=f"does_not_{pair}_{one}",
            on_change=close_image,
            width=240,
        )
    places = np.flatnonzero(right[one] & ~right[other])
    if not len(places):
        st.info(
            f"{name_of(one)} reads nothing that {name_of(other)} misreads. Choose another pair.",
            icon=":material/compare:",
        )
        return
    confidence = answers[other][places].max(axis=1)
    reader, misreader = name_of(one), name_of(other)
    st.caption(
        f"{reader} reads {len(places):,} images that {misreader} misreads: as {misreader} read them, the surest first."
    )
    show_gallery(exam, places[np.argsort(-confidence, kind="stable")], names[other], answers[other])


def _show_learning(ids: list[str], settings: Settings) -> None:
    told = [
        model_id
        for model_id in ids
        if any(event.kind == "epoch" for event in read_events(model_folder(model_id, settings)))
    ]
    if told:
        show_curves(told, settings)
    if silent := [model_id for model_id in ids if model_id not in told]:
        st.caption(f"There is no record of how these were trained: {', '.join(map(name_of, silent))}.")
