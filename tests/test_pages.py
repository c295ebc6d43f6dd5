"""What holds of every page alike."""

import ast
import time

import pytest
from streamlit.testing.v1 import AppTest

from digit_core.settings import ROOT

PAINTED = {"altair_chart", "dataframe", "image", "vega_lite_chart"}  # by a browser, where a screen reader sees nothing
CALLS = [
    pytest.param(call, id=f"{path.name}:{call.lineno}")
    for path in sorted((ROOT / "pages").glob("*.py"))
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in PAINTED
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_painted_is_described_for_who_does_not_see_it(call):
    assert "alt" in {keyword.arg for keyword in call.keywords}


def test_there_is_something_painted():
    assert len(CALLS) > 15


def test_a_page_waits_for_what_is_done_aside_and_tells_of_what_that_fails():
    def page():
        import threading
        import time

        import streamlit as st

        from digit_core.errors import DataUnavailable
        from pages._shared import told_errors, wait_for

        def work(seconds, problem=None):
            time.sleep(seconds)
            if problem:
                raise DataUnavailable(problem)
            return threading.current_thread().name

        with told_errors():
            st.text(wait_for(lambda: work(0.5), lambda: st.caption("wait")))
            wait_for(lambda: work(0.2, "There is none."))

    app = AppTest.from_function(page).run()
    assert [text.value for text in app.text] == ["aside"] and app.caption
    assert [error.value for error in app.error] == ["There is none."]


def test_a_fault_in_what_nobody_waits_for_any_more_is_in_the_log(caplog):
    def page():
        import time

        import streamlit as st

        from pages._shared import wait_for

        def fail():
            time.sleep(0.2)
            raise ZeroDivisionError

        wait_for(fail, st.stop)

    assert not AppTest.from_function(page).run().exception
    end = time.monotonic() + 10
    while not (faults := [record.exc_info[0] for record in caplog.records if record.exc_info]):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert faults == [ZeroDivisionError]
