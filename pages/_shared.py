"""What pages share of Streamlit: the canvas that keeps its drawing, the models and the store, the door for errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st
from streamlit_drawable_canvas import st_canvas

from digit_core.classifier import Classifier, load_classifier
from digit_core.errors import DigitError
from digit_core.feedback import FeedbackStore
from digit_core.settings import read_settings

CANVAS_SIDE = 288  # pixels: fits a phone that is 320 wide


@contextmanager
def told_errors() -> Iterator[None]:
    """Show a DigitError as a sentence; what follows on the page goes on."""
    try:
        yield
    except DigitError as error:
        st.error(str(error), icon=":material/error:")


@st.cache_resource(max_entries=8, show_spinner=False)
def cached_classifier(model_id: str, sha256: str) -> Classifier:
    """The classifier of a model, loaded once per process and version of its file."""
    return load_classifier(model_id, read_settings())


@st.cache_resource(max_entries=4, show_spinner=False)
def cached_store(database_url: str) -> FeedbackStore:
    """The feedback store, opened once per process."""
    return FeedbackStore(database_url)


def canvas(pen_width: int) -> Any:
    """Show the canvas and return what it sent: a drawing as Fabric's JSON, unless somebody meddled with it.

    The drawing is kept in the session, so that it outlives a change of page. Undo and clear mount a new canvas: the
    component's own undo shows only where a mouse can hover.
    """
    state = st.session_state
    state.setdefault("canvas_number", 0)
    state.setdefault("canvas_start", None)
    state.setdefault("drawing", {"objects": []})
    key = f"canvas_{state.canvas_number}"
    if state.get("mounted_canvas") == key and key not in state:  # another page was shown since
        _remount(state.drawing["objects"])
        key = f"canvas_{state.canvas_number}"
    state.mounted_canvas = key
    with st.container(key="canvas"):
        result = st_canvas(
            stroke_width=pen_width,
            stroke_color="#ffffff",
            background_color="#000000",
            width=CANVAS_SIDE,
            height=CANVAS_SIDE,
            initial_drawing=state.canvas_start,
            key=key,
        )
    sent = result.json_data
    is_drawing = isinstance(sent, dict) and isinstance(sent.get("objects"), list)
    state.drawing = sent if is_drawing else {"objects": []}
    return sent


def undo() -> None:
    """Take the last stroke away, or bring back what was cleared."""
    state = st.session_state
    if state.drawing["objects"]:
        _remount(state.drawing["objects"][:-1])
    elif state.get("cleared"):
        _remount(state.pop("cleared"))


def clear() -> None:
    """Empty the canvas; undo brings the drawing back."""
    if drawn := st.session_state.drawing["objects"]:
        st.session_state.cleared = drawn
        _remount([])


def _remount(objects: list[Any]) -> None:
    state = st.session_state
    state.canvas_number += 1
    state.canvas_start = {"objects": objects} if objects else None
    state.drawing = {"objects": objects}
