"""What people said: how often the models were right, and the drawings that were misread."""

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from digit_core.charts import chart_recall
from digit_core.selection import Selection
from digit_core.settings import read_settings
from digit_core.types import Feedback
from pages._shared import cached_store, told_errors

PAGE = 24  # drawings in the gallery at once

settings = read_settings()
state = st.session_state
state.setdefault("deleted", None)  # id of the entry deleted last


def delete(feedback_id: str) -> None:
    with told_errors():
        cached_store(settings.database_url).delete(feedback_id)
        state.deleted = feedback_id


def restore() -> None:
    with told_errors():
        cached_store(settings.database_url).restore(state.deleted)
        state.deleted = None


def show_entry(entry: Feedback) -> None:
    """A card: the image as the models saw it, what it is, what each model read."""
    with st.container(border=True, width=170, key=f"entry_{entry.id}"):
        st.image(cv2.resize(entry.image, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST), width=112)
        meant = "no digit" if entry.true_digit is None else entry.true_digit
        read = ", ".join(f"{answer['model_id'].upper()} {answer['digit']}" for answer in entry.answers)
        st.markdown(f"**It is {meant}**  \n{read}  \n:small[{entry.created_at:%Y-%m-%d %H:%M} UTC]")
        st.button("Delete", icon=":material/delete:", key=f"delete_{entry.id}", on_click=delete, args=[entry.id])


st.title("What people said")
with told_errors():
    store = cached_store(settings.database_url)
    stats = store.stats()
    if state.deleted:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.success("Deleted.", icon=":material/delete:")
            st.button("Restore", icon=":material/undo:", on_click=restore, key="restore")
    if not stats.total:
        st.info(
            "Nobody has said yet whether an answer was right. Draw a digit on the page Draw and tap Right, or the "
            "digit that it is: it is counted here.",
            icon=":material/chat:",
        )
    else:
        with st.container(horizontal=True, key="totals"):
            st.metric("Judged", f"{stats.total:,}", border=True)
            st.metric("Read right", f"{stats.correct / stats.total:.0%}", border=True)
            st.metric("Misread", f"{stats.total - stats.correct:,}", border=True)
        left, right = st.columns(2, gap="large")
        with left:
            st.subheader("By digit", anchor=False)
            st.altair_chart(chart_recall(stats.by_digit), alt="Share read right, by digit", key="by_digit")
        with right:
            st.subheader("By model", anchor=False)
            models = [(name.upper(), total, right / total) for name, (total, right) in stats.by_model.items()]
            share = st.column_config.ProgressColumn("read right", format="percent", min_value=0, max_value=1)
            st.dataframe(
                pd.DataFrame(models, columns=["model", "drawings", "share"]),
                hide_index=True,
                column_config={"share": share},
            )
            if stats.confusions:
                st.subheader("Most often confused", anchor=False)
                pairs = [
                    ("no digit" if true is None else str(true), str(read), n) for true, read, n in stats.confusions
                ]
                st.dataframe(pd.DataFrame(pairs[:10], columns=["it is", "read as", "times"]), hide_index=True)
        misread = stats.total - stats.correct
        if misread:
            st.subheader("Misread drawings", anchor=False)
            pages = int(np.ceil(misread / PAGE))
            page = st.number_input(f"Page, of {pages}", 1, pages, 1, key="page", width=140) if pages > 1 else 1
            with st.container(horizontal=True, key="gallery"):
                for entry in store.list(limit=PAGE, offset=PAGE * (page - 1), which=Selection(verdict="wrong")):
                    show_entry(entry)
