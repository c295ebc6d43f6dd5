"""The app in Firefox, by Mozilla's own driver: `apt-get install firefox-esr`, or its path in the variable FIREFOX."""

import gc
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from live import Server, find_port

pytest.importorskip("marionette_driver", reason="Run `pip install marionette_driver`: it drives Firefox.")
from marionette_driver import By, Wait
from marionette_driver.errors import NoSuchElementException, StaleElementException
from marionette_driver.keys import Keys
from marionette_driver.marionette import Marionette, WebElement
from visitor import TITLES

NAMES = ("firefox-esr", "firefox")
PATIENCE = 60  # seconds
CANVAS = """
    const find = root => root.querySelector("canvas.upper-canvas")
        ?? [...root.querySelectorAll("*")].map(part => part.shadowRoot && find(part.shadowRoot)).find(Boolean);
    const box = find(document)?.getBoundingClientRect();
    return box && [box.x, box.y, box.width];
"""
ABSENT = (NoSuchElementException, StaleElementException)


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marionette]:
    path = os.environ.get("FIREFOX") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Run `apt-get install firefox-esr`, or set FIREFOX to the path of a Firefox.")
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):  # it leaves sockets to themselves
        log = str(tmp_path_factory.mktemp("firefox"))
        driver = Marionette(host="127.0.0.1", port=find_port(), bin=path, headless=True, gecko_log=log)
        driver.start_session()
        gc.collect()
    try:
        driver.set_window_rect(width=1280, height=900)
        yield driver
    finally:
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            driver.cleanup()
            del driver
            gc.collect()


@pytest.fixture
def go(firefox: Marionette, server: Server) -> Callable[[str], None]:
    """Open a page, and wait until it is shown."""

    def open_page(path: str) -> None:
        firefox.navigate(server.url + path)
        wait_for(firefox, lambda: find(firefox, "h1").text.startswith(TITLES[path]))
        settle(firefox)

    return open_page


def find(firefox: Marionette, place: str) -> WebElement:
    return firefox.find_element(By.CSS_SELECTOR, place)


def wait_for(firefox: Marionette, come: Callable[[], Any]) -> Any:
    return Wait(firefox, PATIENCE, ignored_exceptions=ABSENT).until(lambda _: come())


def settle(firefox: Marionette) -> None:
    """Wait until the page's script has ended."""
    app = "[data-testid=stApp]"
    wait_for(firefox, lambda: find(firefox, app).get_attribute("data-test-script-state") == "notRunning")


def draw(firefox: Marionette, strokes: tuple[np.ndarray, ...]) -> None:
    """Draw strokes that lie in a square of 1 x 1 with the mouse."""
    left, top, side = wait_for(firefox, lambda: firefox.execute_script(CANVAS))
    time.sleep(0.5)  # a canvas that was just mounted does not listen at once
    for stroke in strokes:
        pen = firefox.actions.sequence("pointer", "mouse", {"pointerType": "mouse"})
        for number, (x, y) in enumerate(((0.1 + 0.8 * stroke) * side + [left, top]).round().tolist()):
            pen = pen.pointer_move(int(x), int(y), duration=60)
            pen = pen if number else pen.pointer_down()
        pen.pointer_up().perform()


def press(firefox: Marionette, *keys: str) -> None:
    typist = firefox.actions.sequence("key", "keyboard")
    for key in keys:
        typist = typist.key_down(key).key_up(key)
    typist.perform()


def test_a_drawing_is_read_and_logged(firefox, go, handwriting):
    go("/")
    draw(firefox, handwriting[7])
    figure = ".st-key-answer_cnn [data-testid=stMetricValue]"
    wait_for(firefox, lambda: find(firefox, figure).text.strip() == "7")
    wait_for(firefox, lambda: find(firefox, ".st-key-verdict button")).click()
    wait_for(firefox, lambda: "right, it is a 7" in find(firefox, ".st-key-verdict_logged").text)


@pytest.mark.parametrize("path", TITLES)
def test_each_page_opens(firefox, go, path):
    go(path)
    assert not firefox.find_elements(By.CSS_SELECTOR, "[data-testid=stException], [data-testid=stAlertContentError]")


def test_a_drawing_of_the_log_is_opened_by_keyboard(firefox, go, lived_in):
    go("/feedback")
    wait_for(firefox, lambda: find(firefox, ".st-key-view"))
    view = "[...document.querySelectorAll('.st-key-view button')].find(each => each.innerText.includes('Drawings'))"
    firefox.execute_script(f"{view}.click()")
    wait_for(firefox, lambda: find(firefox, ".st-key-gallery [class*=st-key-open_] button"))
    settle(firefox)
    for _ in range(200):
        press(firefox, Keys.TAB)
        if firefox.execute_script("return document.activeElement.closest('[class*=st-key-open_] button')"):
            break
    else:
        pytest.fail("Tab did not lead to a button that opens a drawing.")
    press(firefox, Keys.ENTER)
    wait_for(firefox, lambda: find(firefox, ".st-key-leafing"))
