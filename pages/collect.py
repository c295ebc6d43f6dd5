"""Gather drawings with their labels: the page asks for a digit, somebody draws it, no model answers."""

import random
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import streamlit as st

from digit_core.classifier import share_classifier
from digit_core.errors import EmptyDrawing
from digit_core.feedback import share_store
from digit_core.model_store import load_default, load_info
from digit_core.preprocessing import preprocess
from digit_core.settings import read_settings
from digit_core.strokes import strokes_from_canvas
from digit_core.types import Drawing, Feedback, Pictures, name_of
from pages._run import follow_link
from pages._shared import (
    ask_visitor,
    canvas,
    clear,
    empty,
    kept_errors,
    session_id,
    show_pictures,
    tell_kept,
    told_errors,
    undo,
    visitor,
)

PEN_WIDTH = 20  # canvas pixels
EACH = 5  # drawings of each digit that are asked for, unless somebody wants another number

settings = read_settings()
state = st.session_state
state.setdefault("collected", [])  # what was kept in this round
follow_link()


def begin() -> None:
    """Ask for each digit as often as is wanted, in an order that nobody foresees."""
    wanted = list(range(10)) * state.get("each", EACH)
    random.shuffle(wanted)
    state.wanted, state.collected, state.asked_id = wanted, [], str(uuid.uuid4())


def begin_anew() -> None:
    begin()
    ask_anew()


def keep(feedback_id: str, digit: int) -> None:
    """Keep the drawing as the digit that was asked for, and ask for the next one; a second press is the same entry."""
    with kept_errors():
        if feedback_id != state.asked_id:
            return
        strokes = strokes_from_canvas(state.drawing)
        if not strokes:
            raise EmptyDrawing(f"There is nothing yet. Draw the digit {digit} first.")
        drawing = Drawing(strokes)
        now, image = datetime.now(UTC), preprocess(drawing)
        entry = Feedback(feedback_id, now, session_id(), drawing, "canvas", image, (), digit, visitor())
        collected, wanted = state.collected, state.wanted
        share_store(settings.database_url).add(entry)
        collected.append(entry)
        wanted.pop(0)
        ask_anew()


def ask_anew() -> None:
    """Wait for another drawing: what is on the canvas was not meant as the digit that is asked for now."""
    state.asked_id = str(uuid.uuid4())
    empty()


def skip() -> None:
    """Ask for another digit, where there is one, and for this one at the end."""
    digit = state.wanted[0]
    others = [place for place, other in enumerate(state.wanted) if other != digit]
    if others:
        state.wanted = state.wanted[others[0] :] + state.wanted[: others[0]]
        ask_anew()


def take_back() -> None:
    """Take the last drawing out again, and ask for it anew."""
    with kept_errors():
        collected, wanted = state.collected, state.wanted
        last = collected[-1]
        share_store(settings.database_url).delete(last)
        collected.pop()
        wanted.insert(0, last.true_digit)
        ask_anew()


def show_reading(entries: Sequence[Feedback]) -> None:
    """How many of this round's drawings the model that reads now reads rightly, and the others."""
    info = load_info(load_default(settings), settings)
    images, digits = np.stack([entry.image for entry in entries]), np.array([entry.true_digit for entry in entries])
    said = share_classifier(info, settings).predict_probabilities(images).argmax(axis=1)
    wrong = said != digits
    st.markdown(
        f"**{name_of(info.model_id)} reads {np.sum(~wrong)} of these {len(entries)} drawings rightly.** "
        "Let a model learn them, and see how it reads those that are held out."
    )
    show_pictures(Pictures(images[wrong], digits[wrong], said[wrong]), said[wrong].tolist(), "misread")


def learn(taught_by: str | None) -> None:
    state.taught_by = taught_by
    state.go_to = "learn.py"


if "wanted" not in state:
    begin()
st.title("Collect drawings")
st.caption(
    "Draw each digit as you usually write it. Then see how many a model reads rightly, and let it learn your hand."
)
left, right = st.columns([2, 3], gap="medium")
done, total = len(state.collected), len(state.collected) + len(state.wanted)
with right:
    ask_visitor()
    help = "Another number begins a new round; what was drawn is kept"
    more = {"key": "each", "on_change": begin_anew, "persist_state": "session", "help": help}
    st.number_input("Drawings of each digit", 1, 50, EACH, width=160, **more)
    st.progress(done / total, f"{done} of {total} drawings")
    if done:
        st.button("Take the last one back", icon=":material/undo:", key="take_back", on_click=take_back)
        own = visitor() if {entry.visitor for entry in state.collected} == {visitor()} else None
        words = "Learn my handwriting" if own else "Learn from everybody's drawings"
        help = "A model learns them, and you see how it reads others before and after"
        kind = "secondary" if state.wanted else "primary"
        st.button(words, type=kind, icon=":material/school:", key="to_learn", on_click=learn, args=[own], help=help)
with left, told_errors():
    if not state.wanted:
        st.success(f"Done: {done} drawings are kept. Thank you!", icon=":material/check:")
        with told_errors():
            show_reading(state.collected)
        st.button("Draw another round", icon=":material/refresh:", key="again", on_click=begin_anew)
    else:
        digit = state.wanted[0]
        st.header(f"Draw the digit {digit}", anchor=False)
        canvas(PEN_WIDTH, "collect")
        with st.container(horizontal=True, key="canvas_tools"):
            asked = [state.asked_id, digit]
            st.button("Keep", type="primary", icon=":material/check:", key="keep", on_click=keep, args=asked)
            st.button("Undo", icon=":material/undo:", on_click=undo, help="Take back the last stroke")
            st.button("Clear", icon=":material/delete:", on_click=clear, help="Empty the canvas")
            st.button("Skip", icon=":material/skip_next:", on_click=skip, help="Another digit first")
    tell_kept()
