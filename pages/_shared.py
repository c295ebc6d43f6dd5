"""What pages share of Streamlit: the canvas that keeps its drawing, pictures, models, the store, told errors."""

import base64
import html
import logging
import re
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, time, timedelta
from functools import partial
from time import monotonic
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import streamlit as st
from streamlit_drawable_canvas import st_canvas

from digit_core.errors import DigitError, FeedbackUnavailable
from digit_core.feedback import FeedbackStore, forget_store
from digit_core.pictures import encode_png
from digit_core.settings import read_settings
from digit_core.tables import MAX_VISITOR
from digit_core.types import Pictures

NO_DIGIT = "no digit"
CANVAS_SIDE = 288  # pixels: fits a phone that is 320 wide
MINUTES = "YYYY-MM-DD HH:mm"  # of times in tables
HASTE = 0.5  # seconds after what a press did: another one so soon belongs to it
TILE_MARGIN = 12  # pixels wider than a picture, which its caption may take
GLANCE_S = 0.1  # between two looks at whether somebody has gone on

R = TypeVar("R")


@contextmanager
def told_errors(do: Callable[[str], None] | None = None) -> Iterator[None]:
    """Show a DigitError as a sentence, or do something else with it; what follows on the page goes on."""
    try:
        yield
    except DigitError as error:
        if isinstance(error, FeedbackUnavailable):
            forget_store(read_settings().database_url)  # opened again, it makes the tables that a new file lacks
        (do or tell)(str(error))


def wait_for(work: Callable[[], R], meanwhile: Callable[[], object] = lambda: st.session_state.get("anything")) -> R:
    """Do aside what takes seconds: whoever draws on or goes to another page does not wait, and it is finished
    nonetheless. (A press within the same fragment waits, as Streamlit has it.) Not for callbacks, which it would cut
    off.

    work: calls nothing of Streamlit's; meanwhile: does, again and again, and there Streamlit may end the script for
    the next. Returns what the work returns, and raises what it raises.
    """
    future: Future[R] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, name="aside", daemon=True).start()
    while not wait([future], GLANCE_S).done:
        try:
            meanwhile()
        except BaseException:
            future.add_done_callback(_tell_fault)
            raise
    return future.result()


def _tell_fault(future: Future[Any]) -> None:
    """Tell the log of a fault that nobody waits for any more."""
    if not isinstance(error := future.exception(), DigitError | None):
        logging.getLogger(__name__).error("A fault aside", exc_info=error)


def kept_errors() -> AbstractContextManager[None]:
    """Keep a DigitError's sentence for `tell_kept`: above the page, where a press tells, it would move the canvas."""
    st.session_state.pop("problem", None)
    return told_errors(partial(setattr, st.session_state, "problem"))


def tell_kept() -> None:
    """Show what went wrong when somebody pressed a button."""
    if problem := st.session_state.pop("problem", None):
        tell(problem)


def tell(problem: str) -> None:
    """Show what went wrong; what somebody typed and the sentence quotes is not taken for Markdown."""
    st.error(re.sub(r"([*$\[\]~#]|:(?=\w))", r"\\\1", problem), icon=":material/error:")


def duration(seconds: float) -> str:
    """Say a duration in words: `42 s`, `3 min 20 s`, `2 h 5 min`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (0 if hours else seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def estimate(seconds: float) -> str:
    """Say a duration as coarsely as it can be foreseen: `about 2 min 20 s`."""
    step = 1 if seconds < 10 else 5 if seconds < 60 else 20 if seconds < 600 else 60
    return f"about {duration(max(1, step * round(seconds / step)))}"


def percent(share: float, digits: int = 1) -> str:
    """Say a share of one: `99.5 %`, which no end of a line tears apart."""
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count_drawings(number: int) -> str:
    """Say a number of drawings: `1 drawing`, `1,200 drawings`."""
    return f"{number:,} drawing{'' if number == 1 else 's'}"


def show_pictures(pictures: Pictures, y_pred: Sequence[int], key: str) -> None:
    """Show images with what a network said of each, and what it is where that was wrong; -1 stands for no answer."""
    tiles = []
    for image, true, said in zip(pictures.images, pictures.y_true.tolist(), y_pred, strict=True):
        wrong = said not in (true, -1)
        words = f"a {true}, read as {said}" if wrong else f"a {true}"
        caption = f"{true} as <b>{said}</b>" if wrong else "" if said < 0 else f"{said} ✓"
        tiles.append(Tile(image, words, caption, wrong))
    show_tiles(tiles, key)


class Tile(NamedTuple):
    """A picture, `(H, W) uint8` or `(H, W, 3)`, with words for who cannot see it, a caption, marked or not."""

    image: np.ndarray
    words: str
    caption: str
    marked: bool = False


def show_tiles(tiles: Sequence[Tile], key: str, side: int = 52) -> None:
    """Show pictures side by side, so many pixels wide and high, as many in a row as there is room for."""
    figures = []
    for image, words, caption, marked in tiles:
        frame = "outline: 3px solid #e69f00" if marked else ""
        figures.append(
            f'<figure style="margin: 0; width: {side + TILE_MARGIN}px; text-align: center">'
            f"{image_tag(image, words, side, frame)}"
            f'<figcaption style="font-size: 0.8rem; line-height: 1.2; margin-top: 5px">{caption}</figcaption></figure>'
        )
    with st.container(key=key):
        st.html(f'<div style="display: flex; flex-wrap: wrap; gap: 8px">{"".join(figures)}</div>')


def image_tag(image: np.ndarray, words: str, side: int, style: str = "") -> str:
    """An image in HTML, so many pixels wide and high, with words for who cannot see it."""
    png, words = base64.b64encode(encode_png(image)).decode(), html.escape(words)
    return (
        f'<img src="data:image/png;base64,{png}" alt="{words}" title="{words}" width="{side}" height="{side}" '
        f'style="background: #000; image-rendering: pixelated; object-fit: contain; {style}">'
    )


@contextmanager
def pressed() -> Iterator[bool]:
    """Whether a press counts whose work is done within: the second one of a double-click does not."""
    state = st.session_state
    try:
        yield monotonic() - state.get("pressed_at", -HASTE) >= HASTE
    finally:
        state.pressed_at = monotonic()


def session_id() -> str:
    """What tells this session, a tab until it is reloaded, from all others."""
    return st.session_state.setdefault("session_id", uuid.uuid4().hex)


def label_of(digit: int | None) -> str:
    """What somebody said that a drawing shows."""
    return NO_DIGIT if digit is None else str(digit)


def ask_visitor() -> str | None:
    """Ask for a nickname or class, and return it if somebody gave one; it is kept while the tab is open."""
    st.text_input(
        "Nickname or class (optional)",
        key="nickname",
        max_chars=MAX_VISITOR,
        persist_state="session",
        help="Feedback can be counted, and learned from, by it.",
    )
    return visitor()


def visitor() -> str | None:
    """The nickname or class that was given last."""
    return st.session_state.get("nickname", "").strip() or None


def switch(label: str, words: dict[Any, str], key: str, **more: Any) -> Any:
    """One of several views, the first one until another is chosen, here or by what leads to it."""
    if st.session_state.get(key) not in words:
        st.session_state[key] = next(iter(words))
    return st.segmented_control(
        label,
        list(words),
        required=True,
        format_func=words.__getitem__,
        label_visibility="collapsed",
        key=key,
        **more,
    )


def choose_visitor(
    store: FeedbackStore, label: str, all_of_them: str, key: str, width: int | Literal["stretch"] = "stretch"
) -> str | None:
    """Ask for one of the names that were given; returns None for all, unasked where there is none."""
    names = store.visitors()
    return st.selectbox(label, names, index=None, key=key, placeholder=all_of_them, width=width) if names else None


def ask_days(key: str, width: int | Literal["stretch"] = "stretch") -> tuple[datetime | None, datetime | None]:
    """Ask for days; returns when the first one begins and when the last one is over, or nothing of them."""
    days = st.date_input("Days (UTC)", (), format="YYYY-MM-DD", key=key, width=width, help="The first and the last day")
    if not days:
        return None, None
    return datetime.combine(days[0], time(), UTC), datetime.combine(days[-1], time(), UTC) + timedelta(days=1)


def canvas(pen_width: int, page: str = "draw") -> Any:
    """Show the canvas and return what it sent: a drawing as Fabric's JSON, unless somebody meddled with it.

    Each page's drawing is kept in the session, so that it outlives a change of page. Undo and clear mount a new canvas:
    the component's own undo shows only where a mouse can hover.
    """
    state = st.session_state
    state.setdefault("canvas_number", 0)
    state.setdefault("canvas_start", None)
    state.setdefault("drawing", {"objects": []})
    state.setdefault("drawn_on", page)
    if state.drawn_on != page:
        put_away = state.setdefault("put_away", {})
        put_away[state.drawn_on] = state.drawing["objects"]
        state.drawn_on = page
        state.pop("cleared", None)
        _remount(put_away.pop(page, []))
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


def empty() -> None:
    """Empty the canvas for another drawing; the one that was there is not brought back."""
    st.session_state.pop("cleared", None)
    _remount([])


def _remount(objects: list[Any]) -> None:
    state = st.session_state
    state.canvas_number += 1
    state.canvas_start = {"objects": objects} if objects else None
    state.drawing = {"objects": objects}
