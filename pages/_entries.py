"""The log in pictures: a gallery, and one entry with all that is known of it, to correct, confirm or delete."""

import base64
import html
from collections.abc import Callable

import cv2
import streamlit as st

from digit_core.errors import DigitError
from digit_core.feedback import FeedbackStore
from digit_core.feedback_export import picture_of
from digit_core.pictures import encode_png
from digit_core.selection import Selection
from digit_core.types import Feedback, InputKind
from pages._shared import label_of, tell

KINDS: dict[InputKind, str] = {
    "canvas": "drawing",
    "upload": "picture file",
    "camera": "photograph",
    "api": "API call",
    "import": "imported",
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
    selected, place = state.get("opened") or (which, None)
    if place is not None and selected == which:
        entries = store.list(1, min(place, total - 1), which)
        if entries:
            _show_entry(store, entries[0], which, min(place, total - 1), total)
            return
    leaves = -(-total // LEAF)
    leaf = min(st.number_input(f"Leaf, of {leaves}", 1, leaves, 1, key="leaf", width=140), leaves) if leaves > 1 else 1
    st.caption(f"{total:,} drawings, the newest first: as drawn, and as the models saw them.")
    with st.container(horizontal=True, key="gallery"):
        for number, entry in enumerate(store.list(LEAF, LEAF * (leaf - 1), which), LEAF * (leaf - 1)):
            _show_tile(entry, which, number)


def _verdict(entry: Feedback) -> str:
    return f"It is {label_of(entry.true_digit)}" if entry.judged else "Nobody judged it"


def _show_tile(entry: Feedback, which: Selection, place: int) -> None:
    with st.container(border=True, width=170, key=f"entry_{entry.id}"):
        _show_pictures(entry, 65)
        read = ", ".join(f"{answer['model_id'].upper()} {answer['digit']}" for answer in entry.answers)
        st.markdown(f"**{_verdict(entry)}**  \n{read or 'collected'}  \n:small[{entry.created_at:%Y-%m-%d %H:%M} UTC]")
        st.button("Open", icon=":material/open_in_full:", key=f"open_{entry.id}", on_click=_open, args=[which, place])


def _show_pictures(entry: Feedback, side: int) -> None:
    """As drawn, and as the models saw it, side by side."""
    label = label_of(entry.true_digit)
    tiles = []
    for picture, words in ((picture_of(entry), f"a {label} as drawn"), (entry.image, f"the same {label} as seen")):
        shrink = min(1.0, 2 * side / max(picture.shape))
        small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        png = base64.b64encode(encode_png(small)).decode()
        style = f"width:{side}px;height:{side}px;object-fit:contain;background:#000;image-rendering:pixelated"
        tiles.append(f'<img src="data:image/png;base64,{png}" alt="{html.escape(words)}" style="{style}">')
    st.html(f'<div style="display:flex;gap:6px">{"".join(tiles)}</div>')


def _show_entry(store: FeedbackStore, entry: Feedback, which: Selection, place: int, total: int) -> None:
    """All that is known of one entry."""
    with st.container(horizontal=True, vertical_alignment="center", key="leafing"):
        st.button("All drawings", icon=":material/arrow_back:", on_click=_open, args=[which, None], key="close")
        newer = {"on_click": _open, "args": [which, place - 1], "disabled": place == 0}
        st.button("Newer", icon=":material/chevron_left:", **newer)
        older = {"on_click": _open, "args": [which, place + 1], "disabled": place + 1 == total}
        st.button("Older", icon=":material/chevron_right:", **older)
        st.caption(f"{place + 1:,} of {total:,}")
    left, right = st.columns([2, 3], gap="large")
    with left:
        _show_pictures(entry, 168)
    with right:
        st.subheader(_verdict(entry), anchor=False)
        for answer in entry.answers:
            st.markdown(f"{answer['model_id'].upper()} read **{answer['digit']}** ({answer['confidence']:.1%} sure)")
        if not entry.answers:
            st.markdown("No model read it: it was collected.")
        by = f", by {entry.visitor}" if entry.visitor else ""
        st.text(f"{KINDS[entry.input_kind].capitalize()} of {entry.created_at:%Y-%m-%d %H:%M} UTC{by}")
        if entry.comment:
            st.text(entry.comment)
        if entry.reviewed_at:
            st.caption(f"Looked at again on {entry.reviewed_at:%Y-%m-%d %H:%M} UTC.")
        if entry.deleted_at:
            restore = [_restore, store, entry]
            st.button("Restore", icon=":material/undo:", key="restore_entry", on_click=_act, args=restore)
            return
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="relabel"):
            st.markdown("Correct it to")
            for digit in (*range(10), None):
                if digit != entry.true_digit or not entry.judged:
                    name = label_of(digit)
                    st.button(name, key=f"relabel_{name}", on_click=_act, args=[_review, store, entry, digit])
        with st.container(horizontal=True, key="entry_actions"):
            if entry.judged:
                confirm = [_review, store, entry, entry.true_digit]
                st.button("The label is right", icon=":material/check:", key="confirm", on_click=_act, args=confirm)
            st.button("Delete", icon=":material/delete:", key="delete", on_click=_act, args=[_delete, store, entry])


def _open(which: Selection, place: int | None) -> None:
    """Show the entry at a place among what is selected, or none; another selection shows its gallery."""
    state.opened = which, place


def _act(action: Callable[..., str], store: FeedbackStore, entry: Feedback, *arguments: int | None) -> None:
    """Do what was pressed, tell it, and keep what undoes it."""
    state.pop("export", None)  # it holds what was said before
    try:
        state.entry_note = action(store, entry, *arguments), entry
    except DigitError as error:
        state.entry_problem = str(error)


def _review(store: FeedbackStore, entry: Feedback, digit: int | None) -> str:
    store.review(entry.id, digit)
    label = label_of(digit)
    return f"Confirmed: it is {label}." if entry.judged and digit == entry.true_digit else f"Corrected: it is {label}."


def _delete(store: FeedbackStore, entry: Feedback) -> str:
    store.delete(entry.id)
    return "Deleted."


def _restore(store: FeedbackStore, entry: Feedback) -> str:
    store.restore(entry.id)
    return "Restored."


def _undo(store: FeedbackStore, entry: Feedback) -> None:
    """Make an entry what it was before it was changed last."""
    state.pop("export", None)
    try:
        store.undo(entry)
        state.pop("entry_note", None)
    except DigitError as error:
        state.entry_problem = str(error)


def _show_note(store: FeedbackStore) -> None:
    if problem := state.pop("entry_problem", None):
        tell(problem)
    if note := state.get("entry_note"):
        words, before = note
        with st.container(horizontal=True, vertical_alignment="center", key="done"):
            st.success(words, icon=":material/check:")
            st.button("Undo", icon=":material/undo:", key="undo_entry", on_click=_undo, args=[store, before])
