"""How the app feels while a network learns: `python -m tests.benchmarks.live`. Needs Chromium and DIGIT_LAB_MNIST.

Measures, on a server of its own: from the click on Train until the chart has moved; clicks on the draw page meanwhile;
the gaps between the updates that ten tabs see of one run; and the server's memory over twenty runs. Takes about ten
minutes on two idle cores.
"""

import itertools
import os
import re
import shutil
import statistics
import sys
import time
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from tests.benchmarks.speed import CHROMIUM_FLAGS, server

PATIENCE = 300_000  # milliseconds
CLICKS, TABS, RUNS = 40, 10, 20
WATCHED = 20.0  # seconds that the tabs watch
INPUTS = {
    "Upload": '[data-testid="stFileUploaderDropzone"]',
    "Draw": ".st-key-canvas canvas.upper-canvas",
}
DRAWN = """() => {
    const chart = document.querySelector('[data-testid="stVegaLiteChart"] :is(canvas, svg.marks)');
    return chart ? (chart.toDataURL?.() ?? chart.outerHTML) : "";
}"""
NOTE_UPDATES = """() => {
    window.updates = [];
    let before = "";
    new MutationObserver(() => {
        const now = document.querySelector('[data-testid="stProgress"]')?.innerText ?? before;
        if (now !== before) { before = now; window.updates.push(performance.now() / 1000); }
    }).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


def open_page(browser: Any, address: str) -> Page:
    page: Page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    return page


def train(page: Page, epochs: int) -> None:
    """Choose the quick look with so many epochs, and press Train."""
    field = page.get_by_label("Epochs", exact=True)
    if not field.is_visible():
        page.get_by_text("Learning", exact=True).click()
    field.fill(str(epochs))
    field.press("Enter")
    page.wait_for_timeout(1000)
    page.locator(".st-key-train button").click()


def seconds_until_moved(page: Page) -> float:
    """From now until the first chart shows something else than when it came."""
    start = time.monotonic()
    page.wait_for_function(f"({DRAWN})() !== ''", polling=50)
    page.evaluate(f"() => {{ window.first = ({DRAWN})(); }}")
    page.wait_for_function(f"({DRAWN})() !== window.first", polling=50)
    return time.monotonic() - start


def click_ms(page: Page) -> list[float]:
    """Milliseconds from a click on the kind of input until the page shows it."""
    times = []
    for name, shows in itertools.islice(itertools.cycle(INPUTS.items()), CLICKS):
        start = time.monotonic()
        page.locator(".st-key-mode").get_by_text(name, exact=True).click()
        page.locator(shows).wait_for()
        times.append(1000 * (time.monotonic() - start))
        page.wait_for_timeout(200)
    return times


def gaps_of_tabs(browser: Any, address: str) -> np.ndarray:
    """Seconds between the updates that each of ten tabs sees."""
    tabs = [open_page(browser, f"{address}/train") for _ in range(TABS)]
    for tab in tabs:
        tab.get_by_test_id("stProgress").wait_for()
        tab.evaluate(NOTE_UPDATES)
    tabs[0].wait_for_timeout(1000 * WATCHED)
    gaps = [np.diff(tab.evaluate("window.updates")) for tab in tabs]
    for tab in tabs:
        tab.context.close()
    return np.concatenate(gaps)


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None or not os.environ.get("DIGIT_LAB_MNIST"):
        sys.exit("Install Chromium, and let DIGIT_LAB_MNIST name MNIST's mnist.npz.")
    rows = []
    with server() as (address, _, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = open_page(browser, f"{address}/train")
        page.locator(".st-key-train button").wait_for()
        page.wait_for_timeout(2000)
        train(page, 100)
        rows.append(("from the click on Train to a chart that moves", f"{seconds_until_moved(page):.1f} s"))
        times = click_ms(open_page(browser, address))
        high = np.percentile(times, 95)
        rows.append(
            ("a click on the draw page meanwhile, median / 95 %", f"{statistics.median(times):.0f} / {high:.0f} ms")
        )
        gaps = gaps_of_tabs(browser, address)
        words = f"{np.median(gaps):.2f} / {np.percentile(gaps, 95):.2f} / {gaps.max():.2f} s"
        rows.append((f"between updates in {TABS} tabs that watch it, median / 95 % / most", words))
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_text("Stopped before its end").wait_for()
        memory = []
        for _ in range(RUNS + 1):
            before = page.locator("h3").first.inner_text()
            train(page, 1) if not memory else page.locator(".st-key-train button").click()
            page.wait_for_function(f"document.querySelector('h3').innerText !== {before!r}")
            page.get_by_text(re.compile("Finished: it reads")).wait_for()
            memory.append(process.memory_info().rss / 1e6)
        rows.append((f"server memory after 1 run, and after {RUNS} more", f"{memory[0]:.0f}, {memory[-1]:.0f} MB"))
        browser.close()
    print("| what | figure |\n|---|---:|")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
