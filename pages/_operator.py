"""Who may do what: where a password is set, what acts on everyone asks for it, once in each browser session."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from digit_core.password import PasswordGate
from digit_core.settings import read_settings
from pages._shared import told_errors

GATE = PasswordGate()  # of all sessions: who opens another one cannot guess more often
LOCK = ":material/lock:"
state = st.session_state


def is_operator() -> bool:
    """Whether this session may act on everyone: it gave the password, or none is set."""
    return read_settings().admin_password is None or state.get("unlocked", False)


def guarded_button(
    label: str,
    icon: str | None,
    action: Callable[..., None],
    args: Sequence[Any],
    may: Callable[[], bool] = is_operator,
    **more: Any,
) -> None:
    """A button that asks for the operator's password where this session may not do without; a lock is its icon then.

    may: asked again when the button is pressed, which may be long after it was shown.
    """
    shown = LOCK if icon and not may() else icon
    st.button(label, icon=shown, on_click=_attempt, args=[may, action, *args], **more)


def _attempt(may: Callable[[], bool], action: Callable[..., None], *args: Any) -> None:
    """Do what was pressed, or keep it until the password is given."""
    if may():
        action(*args)
    else:
        state.locked_action = action, args
        state.acted = True  # the page asks, not the fragment in which the button may be


def show_lock(page: str) -> None:
    """Ask for the password that something waits for, or do it once this was given; offer to lock again.

    page: the one that is shown; what was pressed on another one waits no more.
    """
    if state.get("page_shown") != page:
        state.page_shown = page
        _forget()
    if "locked_action" in state:
        if is_operator():
            action, args = state.pop("locked_action")
            action(*args)
        else:
            _ask_password()
    with st.container(horizontal=True, vertical_alignment="center", key="unlocked"):
        if state.get("unlocked"):  # within: a canvas whose place on the page changes loses its ink
            st.caption(":material/lock_open: Unlocked in this tab", width="content")
            help = "What acts on everyone asks for the password then"
            st.button("Lock again", key="lock", type="tertiary", on_click=_lock, help=help)


def _lock() -> None:
    state.pop("unlocked", None)


def _forget() -> None:
    state.pop("locked_action", None)


@st.dialog("For the operator", icon=LOCK, on_dismiss=_forget)
def _ask_password() -> None:
    st.markdown("This acts on everyone who uses this Digit Lab. It asks for the operator's password.")
    with st.form("operator", clear_on_submit=True, border=False):
        given = st.text_input("Password", type="password", autocomplete="current-password", key="password")
        pressed = st.form_submit_button("Unlock and do it", type="primary", icon=":material/lock_open:")
    st.caption("Nothing else asks for it in this tab then, until you lock it again or reload it.")
    if pressed:
        with told_errors():
            GATE.check(given, read_settings().admin_password)
            state.unlocked = True
            st.rerun()
