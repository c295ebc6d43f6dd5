"""Images of an exam with what a model said of them: opened, drawn on, given to feedback, their labels doubted."""

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import streamlit as st

from digit_core.errors import UnreadableInput
from digit_core.exams import Exam
from digit_core.feedback import FeedbackStore, share_store
from digit_core.settings import read_settings
from digit_core.types import Drawing, Feedback, ModelInfo, name_of
from pages._shared import image_tag, label_of, percent, session_id, told_errors, visitor

LEAF = 18  # images at once
PURPOSES = {"give": "given to feedback", "doubt": "marked: its label is wrong"}
state = st.session_state


def show_gallery(exam: Exam, places: np.ndarray, info: ModelInfo, probabilities: np.ndarray) -> None:
    """Show images of an exam, a leaf of them at once, and the one that was opened with what can be done with it.

    places: their indices; probabilities: `(N, 10)`, the model's answers to the whole exam.
    """
    of, opened = state.get("opened_image") or (None, None)
    leaves = -(-len(places) // LEAF)
    leaf = 1
    if of == exam.sha256 and opened in places:
        _show_image(exam, opened, info, probabilities[opened])
        return
    if leaves > 1:
        if state.get("leafed_through") != (these := hash(places.tobytes())):
            state.leafed_through, state.leaf = these, 1
        leaf = st.number_input(f"Page, of {leaves}", 1, leaves, key="leaf", width=140, persist_state="session")
    with st.container(horizontal=True, gap="small", key="images"):
        for place in places[LEAF * (leaf - 1) : LEAF * leaf].tolist():
            row = probabilities[place]
            words = f"{exam.sources[place]}: a {exam.y_true[place]}, read as {row.argmax()}, {percent(row.max())} sure"
            with st.container(width=76, gap="xsmall", key=f"image_{place}"):
                st.html(image_tag(exam.images[place], words, 72, "display: block"))
                label = f"{exam.y_true[place]} as {row.argmax()}"
                st.button(
                    label,
                    key=f"look_{place}",
                    on_click=_open,
                    args=[exam.sha256, place],
                    help=f"Open {words}",
                    type="tertiary",
                )


def _open(sha256: str, place: int) -> None:
    """Look at one image of the exam that has this digest: others, which came in since, have other places."""
    state.opened_image = sha256, place


def close_image() -> None:
    """Show all images again."""
    state.opened_image = None


def _show_image(exam: Exam, place: int, info: ModelInfo, row: np.ndarray) -> None:
    true, read = int(exam.y_true[place]), int(row.argmax())
    image, source = exam.images[place], exam.sources[place]
    st.button("All images", icon=":material/arrow_back:", on_click=close_image, key="close_image")
    with st.container(horizontal=True, key="opened_image_shown"):
        with st.container(width=168):
            st.html(image_tag(image, f"{source}: a {true}, read as {read}", 168, "display: block"))
        with st.container(width=260, gap="small"):
            st.markdown(f"**A {true}, read as {read}** ({percent(row.max())} sure)  \n{source[0].upper()}{source[1:]}")
            second = int(np.argsort(-row)[1])
            st.caption(f"{name_of(info.model_id)}'s second guess: {second} ({percent(row[second])}).")
            words = f"{source[0].upper()}{source[1:]}: a {true}"
            st.button(
                "Open on the page Draw",
                icon=":material/draw:",
                on_click=_draw,
                args=[info.model_id, image, words],
                key="draw_image",
            )
    if exam.name == "feedback":
        st.caption("The page Feedback shows it with all that is known of it, and corrects its label.")
        return
    with told_errors():
        store = share_store(read_settings().database_url)
        answer = {
            "model_id": info.model_id,
            "sha256": info.sha256["model.tflite"],
            "digit": read,
            "confidence": float(row.max()),
        }
        entry = Feedback(
            id="",
            created_at=datetime.now(UTC),
            session_id=session_id(),
            drawing=Drawing(image=image),
            input_kind="import",
            image=image,
            answers=(answer,),
            true_digit=None,
            visitor=visitor(),
        )
        _offer_giving(store, entry, exam, source, true)
        doubt = replace(entry, comment=f"The label {true} of {source} is wrong.", judged=False)
        if not _show_kept(store, doubt, "doubt"):
            help = "Kept among the feedback as an entry that nobody judged: nothing learns from it"
            args = [store, doubt, "doubt"]
            st.button("Its label is wrong", icon=":material/flag:", on_click=_keep, args=args, key="doubt", help=help)


def _draw(model_id: str, image: np.ndarray, words: str) -> None:
    """Let the page Draw read an image, by the model first."""
    state.brought = image, words
    state.first_reader = model_id
    state.pop("readers", None)
    state.mode, state.hidden = "import", None
    state.go_to = "draw.py"


def _offer_giving(store: FeedbackStore, entry: Feedback, exam: Exam, source: str, true: int) -> None:
    given = replace(entry, comment=f"{source[0].upper()}{source[1:]}.")
    if _show_kept(store, given, "give"):
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="giving"):
        labels = [*range(10), None]
        label = st.selectbox("It shows", labels, labels.index(true), format_func=label_of, key="given_label", width=130)
        st.button(
            "Give to feedback",
            icon=":material/rate_review:",
            on_click=_keep,
            args=[store, replace(given, true_digit=label), "give"],
            key="give",
        )
    if exam.name == "mnist":
        st.caption("A model that learns from feedback has then seen this test image: its test tells a little less.")


def _id_of(entry: Feedback, purpose: str) -> str:
    """The same image is the same entry, as often as a session gives it."""
    digest = hashlib.sha256(entry.image.tobytes()).hexdigest()
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{entry.session_id} {purpose} {digest}"))


def _find(store: FeedbackStore, entry: Feedback, purpose: str) -> Feedback | None:
    try:
        return store.get(_id_of(entry, purpose))
    except UnreadableInput:
        return None


def _show_kept(store: FeedbackStore, entry: Feedback, purpose: str) -> bool:
    """Whether the image is kept for a purpose already; says so, and offers to undo it."""
    kept = _find(store, entry, purpose)
    if kept is None or kept.deleted_at:
        return False
    words = PURPOSES[purpose] + (f" as {label_of(kept.true_digit)}" if purpose == "give" else "")
    with st.container(horizontal=True, vertical_alignment="center", key=f"kept_{purpose}"):
        st.success(f"{words[0].upper()}{words[1:]}.", icon=":material/check:", width=300)
        st.button("Undo", icon=":material/undo:", on_click=_undo, args=[store, kept], key=f"undo_{purpose}")
    return True


def _keep(store: FeedbackStore, entry: Feedback, purpose: str) -> None:
    with told_errors():
        gone = _find(store, entry, purpose)
        if gone is None:
            store.add(replace(entry, id=_id_of(entry, purpose)))
        elif gone.deleted_at:
            store.change(gone, entry)


def _undo(store: FeedbackStore, kept: Feedback) -> None:
    with told_errors():
        store.delete(kept)
