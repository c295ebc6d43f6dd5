"""Somebody with a browser, who draws with a mouse or a finger and sees what is on the page."""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("playwright.sync_api", reason="Run `pip install playwright`: it drives the browser.")
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

PATIENCE = 60_000  # milliseconds: the machine may be busy with a training
STEP = 0.08  # of the canvas, between two points of a stroke at most
TITLES = {
    "/": "Draw a digit",
    "/train": "Train a network",
    "/models": "Models",
    "/feedback": "What people said",
    "/collect": "Collect drawings",
    "/learn": "Learn from people",
    "/guide": "How it reads a digit",
}
MODELS = ("cnn", "ann")
# Where the browser says that it runs on a phone, Streamlit closes the menu after a choice.
AGENT = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
PHONE = {"width": 390, "height": 844, "touch": True}

INK = """canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let inked = 0;
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] && pixels[i] > 127) inked++;
    return inked;
}"""
OVERFLOW = """() => {
    const main = document.querySelector('[data-testid="stMain"]');
    const scrolling = [document.documentElement, main].filter(part => part.scrollWidth > part.clientWidth);
    const wide = [...main.querySelectorAll("*")].filter(part => {
        const box = part.getBoundingClientRect();
        const hasRoom = part.closest("svg, canvas, .stDataFrame, .stSlider");  // a slider has a wide input
        return box.width && box.height && box.right > innerWidth + 1 && !hasRoom;
    });
    return [...scrolling, ...wide].map(part => `${part.tagName} ${part.dataset.testid ?? part.className}`);
}"""

expect.set_options(timeout=PATIENCE)


class Visitor:
    """A page in a browser context of its own, watched for faults."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        width: int = 1280,
        height: int = 800,
        touch: bool = False,
        scheme: str = "light",
    ) -> None:
        self.url = url
        self.faults: list[str] = []
        screen: Any = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
        if touch:
            screen |= {"has_touch": True, "is_mobile": True, "user_agent": AGENT}
        self.context = browser.new_context(**screen, permissions=["camera"])
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(f"error on the page: {error}"))
        self.page.on("console", self._hear)
        self.page.on("request", self._watch)
        self.touch = self.context.new_cdp_session(self.page) if touch else None

    def _hear(self, message: ConsoleMessage) -> None:
        """Note an error, but for two: Streamlit looks for its root below a deep link, and drops replaced images."""
        url = message.location.get("url", "")
        probe = "/_stcore/" in url and not url.startswith(f"{self.url}/_stcore/")
        said = f"{message.text} {url}"
        if message.type == "error" and not probe and "/media/" not in said:
            self.faults.append(f"error in the console: {said}")

    def _watch(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != urlsplit(self.url).netloc:
            self.faults.append(f"another host was asked: {request.url}")

    def go(self, path: str) -> "Visitor":
        """Open an address, as from a bookmark."""
        self.page.goto(self.url + path)
        return self.settle(path)

    def follow(self, path: str) -> "Visitor":
        """Choose a page from the menu."""
        self.menu().get_by_text("Draw" if path == "/" else path[1:].capitalize(), exact=True).click()
        return self.settle(path)

    def menu(self) -> Locator:
        """The links to the pages, which a narrow screen keeps in a drawer."""
        opener = self.page.get_by_test_id("stExpandSidebarButton")
        if opener.is_visible():
            opener.click()
        return self.page.locator('[data-testid="stTopNavLink"], [data-testid="stSidebarNavLink"]')

    def menu_drawer(self) -> Locator:
        """What holds the links on a narrow screen."""
        return self.page.get_by_test_id("stSidebarNavItems")

    def settle(self, path: str | None = None) -> "Visitor":
        """Wait until the page is shown and its script has ended; `path` names the page that should be shown."""
        if path is not None:
            expect(self.page.get_by_role("heading", name=TITLES[path], exact=True)).to_be_visible()
        expect(self.page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
        return self

    def canvas(self) -> Locator:
        """Where the pen goes."""
        return self.page.locator(".st-key-canvas canvas.upper-canvas")

    def draw(self, strokes: Sequence[np.ndarray], size: float = 0.8, left: float = 0.1, top: float = 0.1) -> "Visitor":
        """Draw strokes that lie in a square of 1 x 1, in quick succession; size and place are shares of the canvas."""
        self._take_up_pen()
        for stroke in strokes:
            points = _dense(stroke, STEP / size) * size + [left, top]
            self.canvas().scroll_into_view_if_needed()
            box = self.canvas().bounding_box()
            assert box
            self._stroke([(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points.tolist()])
        return self

    def draw_slowly(self, strokes: Sequence[np.ndarray]) -> "Visitor":
        """Draw, and wait after each stroke until it was read."""
        for stroke in strokes:
            before = self.seen()
            self.draw([stroke])
            self.wait_for(lambda before=before: self.seen() != before, "the stroke was not read")
        return self

    def _take_up_pen(self) -> None:
        """A canvas that was just mounted loads what was drawn on the one before: it does not listen at once."""
        if self.canvas().get_attribute("data-used") is None:
            self.page.wait_for_timeout(500)
            self.canvas().evaluate("canvas => canvas.dataset.used = 1")

    def undo(self) -> "Visitor":
        return self._mount_again("Undo")

    def clear(self) -> "Visitor":
        return self._mount_again("Clear")

    def keep(self) -> "Visitor":
        """Give the drawing that was asked for."""
        return self.tell()._mount_again("Keep")

    def tell(self) -> "Visitor":
        """Wait until the canvas, which waits 0.2 s for more strokes, has told the page of the drawing: by a timer in
        the browser, which is as late there as the canvas's own.
        """
        self.page.evaluate("() => new Promise(done => setTimeout(done, 400))")
        return self.settle()

    def _mount_again(self, name: str) -> "Visitor":
        self._take_up_pen()
        self.press(name)
        expect(self.page.locator(".st-key-canvas canvas.upper-canvas[data-used]")).to_have_count(0)
        return self.settle()

    def seen(self) -> str | None:
        """The address of the image as the model saw it, which another drawing changes; None without an answer."""
        image = self.page.locator(".st-key-answer_cnn img")
        return image.get_attribute("src") if image.count() else None

    def _stroke(self, points: list[tuple[float, float]]) -> None:
        if self.touch is None:
            self.page.mouse.move(*points[0])
            self.page.mouse.down()
            for point in points[1:]:
                self.page.mouse.move(*point)
            self.page.mouse.up()
            return
        for number, (x, y) in enumerate(points):
            kind = "touchMove" if number else "touchStart"
            self.touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        self.touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def press(self, name: str) -> "Visitor":
        """Press the page's button, not the canvas's own, whose name begins so."""
        buttons = self.page.locator('[data-testid="stButton"], [data-testid="stPopover"]')
        buttons.get_by_role("button", name=name).first.click()
        return self.settle()

    def choose(self, view: str) -> "Visitor":
        """Show a view of the feedback page."""
        self.page.locator(".st-key-view").get_by_text(view, exact=True).click()
        return self.settle()

    def answer(self, model_id: str) -> Locator:
        """The digit that a model reads."""
        return self.page.locator(f".st-key-answer_{model_id}").get_by_test_id("stMetricValue")

    def sees(self, digit: int) -> "Visitor":
        """Wait until both models read the digit, and what they saw is shown."""
        for model_id in MODELS:
            expect(self.answer(model_id)).to_have_text(str(digit))
            image = self.page.locator(f".st-key-answer_{model_id} img")
            expect(image).to_have_js_property("complete", True)
            expect(image).not_to_have_js_property("naturalWidth", 0)
        return self.settle()

    def sees_no_answer(self) -> "Visitor":
        for model_id in MODELS:
            expect(self.answer(model_id)).to_have_count(0)
        return self.settle()

    def has_ink(self, expected: Callable[[int], bool]) -> "Visitor":
        """Wait until the number of inked pixels is as expected."""
        return self.wait_for(lambda: expected(self.ink()), "the ink on the canvas is not as expected")

    def wait_for(self, happened: Callable[[], bool], complaint: str) -> "Visitor":
        deadline = time.monotonic() + PATIENCE / 1000
        while not happened():
            assert time.monotonic() < deadline, complaint
            self.page.wait_for_timeout(100)
        return self.settle()

    def ink(self) -> int:
        """How many pixels of the canvas are inked."""
        canvas = self.page.locator(".st-key-canvas canvas.dc-canvas.lower-canvas")
        return int(canvas.evaluate(INK))

    def overflow(self) -> list[str]:
        """What reaches beyond the right edge of the screen."""
        return list(self.page.evaluate(OVERFLOW))

    def leave(self) -> list[str]:
        """Close the browser's window and return what went wrong."""
        if not self.page.is_closed():
            for exception in self.page.get_by_test_id("stException").all_inner_texts():
                self.faults.append(f"exception: {exception}")
            self.context.close()
        return self.faults


def _dense(stroke: np.ndarray, step: float) -> np.ndarray:
    """Add points to a stroke `(K, 2)`, so that no two are further apart than `step`."""
    pieces = [stroke[:1]]
    for start, end in itertools.pairwise(stroke):
        count = int(np.ceil(np.linalg.norm(end - start) / step))
        pieces.append(start + (end - start) * np.arange(1, count + 1)[:, None] / count)
    return np.concatenate(pieces)
