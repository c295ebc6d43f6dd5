"""What people said: how often the models were right, each drawing with its label, doubtful labels, files."""

import streamlit as st

from digit_core.feedback import FeedbackStore, share_store
from digit_core.selection import Selection
from digit_core.settings import read_settings
from digit_core.types import name_of
from pages._entries import DOUBTS, KINDS, show_entries
from pages._exchange import show_export, show_import
from pages._shared import NO_DIGIT, ask_days, choose_visitor, switch, told_errors
from pages._statistics import show_statistics

VIEWS = {
    "statistics": ":material/monitoring: Statistics",
    "drawings": ":material/gallery_thumbnail: Drawings",
    "doubtful": ":material/help: Doubtful",
    "files": ":material/swap_vert: Files",
}
VERDICTS = {
    "right": "read right",
    "wrong": "misread",
    "collected": "collected, not read",
    "unjudged": "nobody judged",
    "deleted": "deleted",
}

settings = read_settings()


def ask_selection(store: FeedbackStore, verdicts: bool) -> Selection:
    """Which entries are wanted: digits, models, kinds, people and days, and, in the log, how they were read."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="filters"):
        digits = st.multiselect("It is", [*range(10), NO_DIGIT], key="digits", placeholder="anything", width=150)
        verdict = None
        if verdicts:
            verdict = st.selectbox(
                "It was",
                list(VERDICTS),
                index=None,
                format_func=VERDICTS.__getitem__,
                key="said_verdict",
                placeholder="read or not",
                width=160,
            )
        model = st.selectbox(
            "Model",
            store.models(),
            index=None,
            format_func=name_of,
            key="said_model",
            placeholder="the first shown",
            width=165,
        )
        kinds = st.multiselect(
            "Came as", list(KINDS), format_func=KINDS.__getitem__, key="kinds", placeholder="any way", width=150
        )
        visitor = choose_visitor(store, "By", "everybody", "by", 140)
        since, until = ask_days("days", 250)
    return Selection(
        true_digits=tuple(None if digit == NO_DIGIT else digit for digit in digits),
        model_id=model,
        verdict=None if verdict == "deleted" else verdict,
        input_kinds=tuple(kinds),
        visitor=visitor,
        since=since,
        until=until,
        deleted=verdict == "deleted",
    )


st.title("What people said")
with told_errors():
    store = share_store(settings.database_url)
    view = switch("View", VIEWS, "view", persist_state="session")
    if view == "files":
        which = ask_selection(store, verdicts=True)
        export = st.container()
        show_import(store)
        with export:
            show_export(store, which)
    elif store.is_empty():
        st.info(
            "Nobody has said yet whether an answer was right. Draw a digit on the page Draw and tap Right, or the "
            "digit that it is: it is counted here. Or bring drawings in under Files.",
            icon=":material/chat:",
        )
    elif view == "statistics":
        show_statistics(store, ask_selection(store, verdicts=False), settings)
    elif view == "drawings":
        show_entries(store, ask_selection(store, verdicts=True))
    else:
        st.caption(
            "Labels worth a second look. They stay here until somebody has looked; nothing is learned till then "
            "from drawings that are nearly blank, or equal with different labels."
        )
        show_entries(store, Selection(doubt=switch("Reason", DOUBTS, "doubt")), "No label is in doubt.")
