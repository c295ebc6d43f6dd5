"""How the app feels while a network learns: `python -m tests.benchmarks.live`. Needs Chromium and DIGIT_LAB_MNIST.

Measures, on a server of its own: from the click on Train until the chart has moved; clicks on the draw page meanwhile;
the updates of ten tabs that watch one run; and the server's memory over twenty runs. Takes about ten minutes on two
idle cores.

Of the ten tabs one is Chromium's. The others, which ten people would open on devices of their own, ask the server as a
browser does and read its answers, but paint nothing, or ten browsers would take the cores that serve and train.
"""

import asyncio
import itertools
import os
import re
import shutil
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import websockets
from playwright.sync_api import Page, sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

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


async def updates_of(address: str, seconds: float) -> list[float]:
    """Seconds that each update of a tab took, from its asking until all had come, while it watched for so long."""
    until, times = time.monotonic() + seconds, []
    stream = address.replace("http", "ws", 1) + "/_stcore/stream"
    async with websockets.connect(stream, subprotocols=["streamlit"], max_size=None) as socket:
        asked = BackMsg()
        asked.rerun_script.page_name = "train"
        await socket.send(asked.SerializeToString())
        interval, fragment, due, waiting = 0.0, "", until, False
        start = time.monotonic()
        while (now := time.monotonic()) < until:
            if now >= due:
                asked = BackMsg()
                asked.rerun_script.fragment_id, asked.rerun_script.is_auto_rerun = fragment, True
                start, due = (start if waiting else now), now + interval
                waiting = True
                await socket.send(asked.SerializeToString())
            try:
                content = await asyncio.wait_for(socket.recv(), max(0.0, min(due, until) - time.monotonic()))
            except TimeoutError:
                continue
            message = ForwardMsg.FromString(content)
            kind = message.WhichOneof("type")
            if kind == "auto_rerun":
                interval, fragment = message.auto_rerun.interval, message.auto_rerun.fragment_id
                due = time.monotonic() + interval
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY:
                times.append(time.monotonic() - start)
                waiting = False
    return times


def watch_together(page: Page, address: str) -> tuple[np.ndarray, np.ndarray]:
    """Seconds that updates take in nine tabs, and seconds between those that a tenth, in Chromium, shows meanwhile."""

    async def others() -> list[list[float]]:
        return await asyncio.gather(*(updates_of(address, WATCHED) for _ in range(TABS - 1)))

    page.get_by_test_id("stProgress").wait_for()
    page.evaluate(NOTE_UPDATES)
    with ThreadPoolExecutor(1) as elsewhere:
        updates = elsewhere.submit(asyncio.run, others())
        page.wait_for_timeout(1000 * WATCHED)
        times = np.concatenate(updates.result())
    return times, np.diff(page.evaluate("window.updates"))


def main() -> None:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None or not os.environ.get("DIGIT_LAB_MNIST"):
        sys.exit("Install Chromium, and let DIGIT_LAB_MNIST name MNIST's mnist.npz.")
    print("| what | figure |\n|---|---:|", flush=True)

    def row(name: str, figure: str) -> None:
        print(f"| {name} | {figure} |", flush=True)

    with server() as (address, _, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = open_page(browser, f"{address}/train")
        page.locator(".st-key-train button").wait_for()
        page.wait_for_timeout(2000)
        train(page, 100)
        row("from the click on Train to a chart that moves", f"{seconds_until_moved(page):.1f} s")
        clicks = click_ms(open_page(browser, address))
        high = np.percentile(clicks, 95)
        row("a click on the draw page meanwhile, median / 95 %", f"{statistics.median(clicks):.0f} / {high:.0f} ms")
        updates, gaps = watch_together(page, address)
        for name, times in (
            ("an update of one of them, asked for and come", updates),
            ("between two that Chromium shows", gaps),
        ):
            words = f"{np.median(times):.2f} / {np.percentile(times, 95):.2f} / {times.max():.2f} s"
            row(f"{TABS} tabs watch it: {name}, median / 95 % / most", words)
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_text("Stopped before its end").wait_for()
        memory = []
        for _ in range(RUNS + 1):
            before = page.locator("h3").first.inner_text()
            train(page, 1) if not memory else page.locator(".st-key-train button").click()
            page.wait_for_function(f"document.querySelector('h3').innerText !== {before!r}")
            page.get_by_text(re.compile("Finished: it reads")).wait_for()
            memory.append(process.memory_info().rss / 1e6)
        row(f"server memory after 1 run, and after {RUNS} more", f"{memory[0]:.0f}, {memory[-1]:.0f} MB")
        browser.close()


if __name__ == "__main__":
    main()
