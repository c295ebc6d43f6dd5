"""How often the models were right, in figures and charts."""

import pandas as pd
import streamlit as st

from digit_core.charts import chart_calibration, chart_confusion, chart_days, chart_shares
from digit_core.errors import ModelUnavailable
from digit_core.feedback import FeedbackStore
from digit_core.feedback_stats import FeedbackStats
from digit_core.model_store import load_default, load_evaluation, load_info
from digit_core.selection import Selection
from digit_core.settings import Settings
from digit_core.types import name_of
from pages._entries import KINDS
from pages._shared import label_of, percent, wait_for

PAIRS = 10  # most often confused
ENOUGH = 20  # drawings, to set confidence beside the share that was right


def show_statistics(store: FeedbackStore, which: Selection, settings: Settings) -> None:
    """Everything that is counted of what is selected."""
    stats = wait_for(lambda: store.stats(which))
    with st.container(horizontal=True, key="totals"):
        st.metric("Judged", f"{stats.total:,}", border=True)
        st.metric("Read right", percent(stats.correct / stats.total) if stats.total else "–", border=True)
        st.metric("Misread", f"{stats.total - stats.correct:,}", border=True)
        st.metric("Collected", f"{stats.collected:,}", border=True, help="Drawings with a label that no model read")
    if not stats.total:
        st.info("No judged answer is among these. Take away a choice above.", icon=":material/filter_alt_off:")
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.header("By digit", anchor=False)
        chart = chart_shares(stats.by_digit, "Digit that was meant", range(10))
        st.altair_chart(chart, alt="Share read right, by digit", key="by_digit")
    with right:
        st.header("Over time", anchor=False)
        if len(stats.by_day) > 1:
            st.altair_chart(chart_days(stats.by_day), alt="Share read right and drawings judged, by day", key="by_day")
        else:
            st.caption(
                f"All of them are of {next(iter(stats.by_day)):%Y-%m-%d}. A chart follows from the second day on."
            )
    left, right = st.columns(2, gap="large")
    with left:
        st.header("By model", anchor=False)
        _table({name_of(name): share for name, share in stats.by_model.items()}, "model", "model")
        _show_duels(stats)
    with right:
        st.header("By kind of input", anchor=False)
        _table({KINDS.get(kind, kind): share for kind, share in stats.by_kind.items()}, "came as", "kind of input")
        if stats.by_visitor:
            st.header("By person or class", anchor=False)
            _table(stats.by_visitor, "name", "person or class")
    _show_confusions(stats, which, settings)
    st.header("How far confidence can be trusted", anchor=False)
    if stats.total < ENOUGH:
        st.caption(f"This needs {ENOUGH} judged drawings; there are {stats.total}.")
        return
    st.caption("On the dashed line, of answers with 90 % confidence 90 % are right; below it, the models are too sure.")
    chart = chart_calibration(stats.by_confidence)
    st.altair_chart(chart, alt="Share of right answers against their confidence", key="calibration")


def _table(shares: dict[str, tuple[int, int]], name: str, words: str) -> None:
    rows = [(key, total, 100 * correct / total) for key, (total, correct) in shares.items()]
    share = st.column_config.ProgressColumn("read right", format="%.1f %%", min_value=0, max_value=100)
    frame = pd.DataFrame(rows, columns=[name, "drawings", "share"])
    st.dataframe(
        frame,
        hide_index=True,
        column_config={"share": share},
        key=f"table_{name}",
        alt=f"How many drawings were judged, and what share of them was read right, by {words}",
    )


def _show_duels(stats: FeedbackStats) -> None:
    for (one, other), (differed, ones, others) in stats.duels.items():
        neither = differed - ones - others
        st.markdown(
            f"{name_of(one)} and {name_of(other)} disagreed {differed:,} times: {name_of(one)} was right **{ones:,}** "
            f"times, {name_of(other)} **{others:,}**, neither {neither:,}."
        )


def _show_confusions(stats: FeedbackStats, which: Selection, settings: Settings) -> None:
    model_id = which.model_id or load_default(settings)
    left, right = st.columns(2, gap="large")
    with left:
        st.header("What people's drawings were read as", anchor=False)
        words = "Confusion matrix of people's drawings: rows are what they meant"
        st.altair_chart(chart_confusion(stats.confusion_matrix), alt=words, key="confusion_people")
    with right:
        try:
            info = load_info(model_id, settings)
            matrix = load_evaluation(info, settings).confusion_matrix
            st.header(f"What {name_of(model_id)} read its test images as", anchor=False)
            words = f"Confusion matrix of the test images of {info.dataset}"
            st.altair_chart(chart_confusion(matrix), alt=words, key="confusion_test")
            st.caption(f"Test images of {info.tested_on}.")
        except ModelUnavailable:
            st.caption(f"The model {name_of(model_id)} is not here any more: there is nothing to compare with.")
    if stats.confusions:
        st.header("Most often confused", anchor=False)
        pairs = [(label_of(true), str(read), n) for true, read, n in stats.confusions]
        frame = pd.DataFrame(pairs[:PAIRS], columns=["it is", "read as", "times"])
        words = "Which digits were read as which others, the most frequent first"
        st.dataframe(frame, hide_index=True, key="pairs", alt=words)
