"""Training as people see it: start, watch, leave, come back, stop, go on, draw with what was learned."""

import re
from pathlib import Path
from typing import Any

import pytest
from live import run_server
from visitor import PHONE, Visitor, expect

from digit_core import runs
from digit_core.diary import read_events

pytestmark = pytest.mark.slow

LONG = 900_000  # milliseconds: TensorFlow's start and a training on a machine that does other things too
RUNNING = re.compile(r"Epoch \d+ of \d+, batch")
FINISHED = re.compile(r"Finished: it reads \d")


def choose(visitor: Visitor, architecture: str, epochs: int) -> Visitor:
    """Choose a network, synthetic digits and a number of epochs."""
    page = visitor.page
    page.locator(".st-key-architecture").get_by_text(architecture, exact=True).click()
    visitor.settle()
    page.locator(".st-key-base").get_by_text("Synthetic digits", exact=True).click()
    visitor.settle()
    page.get_by_text("Learning", exact=True).click()
    field = page.get_by_label("Epochs", exact=True)
    field.fill(str(epochs))
    field.press("Enter")
    expect(page.get_by_role("radio", name="Quick look")).not_to_be_checked()
    return visitor.settle()


def train(visitor: Visitor) -> Visitor:
    visitor.page.locator(".st-key-train button").click()
    expect(visitor.page.get_by_role("heading", name=re.compile(r"^[ac]nn-.*: (queued|running)"))).to_be_in_viewport()
    return visitor


def press(visitor: Visitor, name: str) -> Visitor:
    visitor.page.locator(".st-key-run_actions").get_by_role("button", name=name).click()
    return visitor


def test_a_network_is_trained_watched_and_drawn_with(visit, handwriting):
    visitor = train(choose(visit("/train"), "ANN", 3))
    page = visitor.page
    expect(page.get_by_text(RUNNING)).to_be_visible(timeout=LONG)
    curves = page.get_by_test_id("stVegaLiteChart").locator("canvas, svg")
    expect(curves.first).to_be_visible()
    expect(page.get_by_text("Validation digits, as it reads them now")).to_be_visible(timeout=LONG)
    expect(page.get_by_text(FINISHED)).to_be_visible(timeout=LONG)
    expect(curves).to_have_count(3)
    expect(page.locator(".st-key-mistakes img").first).to_be_visible()
    expect(page.locator(".st-key-stop")).to_have_count(0)
    expect(visit("/train").page.get_by_text(FINISHED)).to_be_visible()
    press(visitor, "Draw with it now").settle("/").press("Models")
    expect(page.get_by_text("Models that read")).to_be_visible()
    page.keyboard.press("Escape")
    visitor.draw(handwriting[1])
    expect(page.get_by_text(re.compile("^ann-.* reads$"))).to_be_visible()


def test_a_run_goes_on_while_nobody_looks_is_stopped_and_resumed(visit, handwriting):
    visitor = train(choose(visit("/train", **PHONE), "CNN", 30))
    expect(visitor.page.get_by_text(re.compile("Epoch 2 of 30, batch"))).to_be_visible(timeout=LONG)
    visitor.leave()
    again = visit("/train")
    expect(again.page.get_by_text(RUNNING)).to_be_visible()
    visit().draw(handwriting[3]).sees(3)
    press(again, "Stop")
    expect(again.page.get_by_text("Stopped before its end")).to_be_visible()
    expect(again.page.locator(".st-key-stop")).to_have_count(0)
    press(again, "Resume")
    expect(again.page.get_by_text(re.compile(r"Epoch [2-9] of 30, batch"))).to_be_visible(timeout=LONG)
    press(again, "Stop")
    expect(again.page.get_by_text("Stopped before its end")).to_be_visible()
    press(again, "Delete")
    expect(again.page.get_by_text("is deleted")).to_be_visible()


def test_training_outlives_a_killed_server(visit, isolate, lend_bank, tmp_path: Path):
    variables = isolate(tmp_path)
    lend_bank(tmp_path / "data")
    with run_server(tmp_path, variables) as server:
        watching = train(choose(visit("/train", server=server), "ANN", 1000))
        expect(watching.page.get_by_text(RUNNING)).to_be_visible(timeout=LONG)
        watching.leave()
        server.process.kill()
        server.process.wait()
    (run,) = runs.list_runs(server.settings)

    def told() -> Any:
        return read_events(server.settings.models / run.run_id)[-1].time

    before = told()
    with run_server(tmp_path, variables) as server:
        again = visit("/train", server=server)
        expect(again.page.get_by_text(RUNNING)).to_be_visible()
        again.wait_for(lambda: told() > before, "training did not go on")
        press(again, "Stop")
        expect(again.page.get_by_text("Stopped before its end")).to_be_visible()
        again.leave()  # a page that is open when its server goes complains
