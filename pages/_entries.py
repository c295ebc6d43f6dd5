"""The log in pictures: a gallery, and one entry with all that is known of it, to correct, confirm or delete."""

from collections.abc import Callable
from functools import partial

import cv2
import streamlit as st

from digit_core.errors import DigitError
from digit_core.feedback import FeedbackStore
from digit_core.feedback_export import picture_of
from digit_core.selection import Selection, find_doubt
from digit_core.types import Feedback, InputKind, name_of
from pages._operator import LOCK, guarded_button, is_operator
from pages._shared import count_drawings, image_tag, label_of, percent, pressed, session_id, tell

KINDS: dict[InputKind, str] = {
    "canvas": "drawing",
    "upload": "picture file",
    "camera": "photograph",
    "api": "API call",
    "import": "imported",
}
DOUBTS = {
    "any": "All",
    "against": "All models are sure that it is another digit",
    "conflict": "Equal drawings differ",
    "blank": "Nearly blank",
}
LEAF = 24  # entries in the gallery at once
state = st.session_state


def show_entries(store: FeedbackStore, which: Selection, nothing: str = "No drawing is among these.") -> None:
    """A leaf of the gallery, or the entry that was opened."""
    _show_note(store)
    total = store.count(which)
    if not total:
        st.info(nothing, icon=":material/filter_alt_off:")
        return
    selected, opened = state.get("opened") or (which, None)
    if opened and selected == which:
        place = min(store.place(opened, which), total - 1)  # where it is, or, if it left the selection, the next one
        around = store.list(3, max(place - 1, 0), which)
        if len(around) > min(place, 1):
            _show_entry(store, around, which, place, total)
            return
    leaves = -(-total // LEAF)
    leaf = min(st.number_input(f"Page, of {leaves}", 1, leaves, 1, key="leaf", width=140), leaves) if leaves > 1 else 1
    st.caption(f"{count_drawings(total)}, the newest first: as drawn, and as the models saw them.")
    with st.container(horizontal=True, key="gallery"):
        for entry in store.list(LEAF, LEAF * (leaf - 1), which):
            _show_tile(entry, which)


def _verdict(entry: Feedback) -> str:
    return f"It is {label_of(entry.true_digit)}" if entry.judged else "Nobody judged it"


def _show_tile(entry: Feedback, which: Selection) -> None:
    with st.container(border=True, width=170, key=f"entry_{entry.id}"):
        _show_pictures(entry, 65)
        read = ", ".join(f"{name_of(answer['model_id'])} {answer['digit']}" for answer in entry.answers)
        st.markdown(f"**{_verdict(entry)}**  \n{read or 'collected'}  \n:small[{entry.created_at:%Y-%m-%d %H:%M} UTC]")
        words = f"{_verdict(entry)}, {entry.created_at:%Y-%m-%d %H:%M} UTC: all that is known of it"
        icon, key = ":material/open_in_full:", f"open_{entry.id}"
        st.button("Open", icon=icon, key=key, on_click=_open, args=[which, entry], help=words)


def _show_pictures(entry: Feedback, side: int) -> None:
    """As drawn, and as the models saw it, side by side."""
    what = f"{_verdict(entry)}: the drawing"
    tiles = []
    for picture, words in ((picture_of(entry), f"{what} as drawn"), (entry.image, f"{what} as seen")):
        height, width = picture.shape
        shrink = min(1.0, 2 * side / max(height, width))
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        tiles.append(image_tag(small, words, side))
    st.html(f'<div style="display:flex;gap:6px">{"".join(tiles)}</div>')


def _show_entry(store: FeedbackStore, around: list[Feedback], which: Selection, place: int, total: int) -> None:
    """All that is known of the entry at a place; around: with it, in order, the newer and the older one, if any."""
    at = min(place, 1)
    entry, newer, older = around[at], around[0] if at else None, next(iter(around[at + 1 :]), None)
    with st.container(horizontal=True, vertical_alignment="center", key="leafing"):
        st.button("All drawings", icon=":material/arrow_back:", on_click=_open, args=[which, None], key="close")
        for words, icon, other in (("Newer", "chevron_left", newer), ("Older", "chevron_right", older)):
            leaf = {"on_click": _open, "args": [which, other], "disabled": other is None}
            st.button(words, icon=f":material/{icon}:", **leaf)
        st.caption(f"{place + 1:,} of {total:,}")
    left, right = st.columns([2, 3], gap="large")
    with left:
        _show_pictures(entry, 168)
    with right:
        st.header(_verdict(entry), anchor=False)
        for answer in entry.answers:
            st.markdown(
                f"{name_of(answer['model_id'])} read **{answer['digit']}** ({percent(answer['confidence'])} sure)"
            )
        if not entry.answers:
            st.markdown("No model read it: it was collected.")
        by = f", by {entry.visitor}" if entry.visitor else ""
        st.text(f"{KINDS[entry.input_kind].capitalize()} of {entry.created_at:%Y-%m-%d %H:%M} UTC{by}")
        if entry.comment:
            st.text(entry.comment)
        if which.doubt:
            st.warning(f"In doubt: {DOUBTS[find_doubt(entry)].lower()}.", icon=":material/help:")
        if entry.reviewed_at:
            st.caption(f"Looked at again on {entry.reviewed_at:%Y-%m-%d %H:%M} UTC.")
        own = partial(_may_change, entry)
        if entry.deleted_at:
            restore = ["Restored.", store.restore, entry]
            guarded_button("Restore", ":material/undo:", _act, restore, own, key="restore_entry")
            return
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="relabel"):
            st.markdown("Correct it to" if own() else f"{LOCK} Correct it to")
            for digit in (*range(10), None):
                if digit != entry.true_digit or not entry.judged:
                    name = label_of(digit)
                    correct = [f"Corrected: it is {name}.", store.review, entry, digit]
                    guarded_button(name, None, _act, correct, own, key=f"relabel_{name}")
        with st.container(horizontal=True, key="entry_actions"):
            if entry.judged:
                words = f"Confirmed: it is {label_of(entry.true_digit)}."
                confirm = [words, store.review, entry, entry.true_digit]
                guarded_button("The label is right", ":material/check:", _act, confirm, own, key="confirm")
            delete = ["Deleted.", store.delete, entry]
            guarded_button("Delete", ":material/delete:", _act, delete, own, key="delete")


def _open(which: Selection, entry: Feedback | None) -> None:
    """Show an entry among what is selected, or none; another selection shows its gallery."""
    state.opened = which, entry
    state.pop("entry_note", None)


def _may_change(entry: Feedback) -> bool:
    """Whether this session may change an entry: one that it gave itself, or any if it is the operator's."""
    return is_operator() or entry.session_id == session_id()


def _act(words: str, change: Callable[..., Feedback], entry: Feedback, *arguments: int | None) -> None:
    """Do what was pressed, tell it, and keep what undoes it.

    The second press of a double-click, which would hit the drawing that comes next, is none.
    """
    with pressed() as counts:
        if not counts:
            return
        state.pop("export", None)  # it holds what was said before
        try:
            state.entry_note = words, change(entry, *arguments), entry
        except DigitError as error:
            state.entry_problem = str(error)


def _undo(store: FeedbackStore, after: Feedback, before: Feedback) -> None:
    """Make an entry what it was before it was changed last, unless somebody else has changed it since."""
    state.pop("export", None)
    state.pop("entry_note", None)
    try:
        store.change(after, before)
    except DigitError as error:
        state.entry_problem = str(error)


def _show_note(store: FeedbackStore) -> None:
    if problem := state.pop("entry_problem", None):
        tell(problem)
    if note := state.get("entry_note"):
        words, after, before = note
        with st.container(horizontal=True, vertical_alignment="center", key="done"):
            with st.container(width=80):
                _show_pictures(after, 36)
            st.success(words, icon=":material/check:")
            may = partial(_may_change, after)
            guarded_button("Undo", ":material/undo:", _undo, [store, after, before], may, key="undo_entry")
