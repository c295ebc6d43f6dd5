"""Training as people see it: start, watch, leave, come back, stop."""

import re

import pytest
from visitor import Visitor, expect

pytestmark = pytest.mark.slow

LONG = 900_000  # milliseconds: TensorFlow's start and a training on a machine that does other things too


def choose(visitor: Visitor, architecture: str, epochs: int) -> Visitor:
    """Choose a network and synthetic digits."""
    page = visitor.page
    page.locator(".st-key-architecture").get_by_text(architecture, exact=True).click()
    visitor.settle()
    page.locator(".st-key-dataset").get_by_role("combobox").click()
    page.get_by_role("option", name=re.compile("^Synthetic")).click()
    visitor.settle()
    slider = page.locator(".st-key-epochs input")
    while (now := int(slider.input_value())) != epochs:
        slider.press("ArrowRight" if now < epochs else "ArrowLeft")
        expect(slider).to_have_value(str(now + (1 if now < epochs else -1)))
    return visitor.settle()


def test_a_network_is_trained_watched_and_used(visit, handwriting):
    visitor = choose(visit("/train"), "ANN", 1)
    page = visitor.page
    page.locator(".st-key-train button").click()
    expect(page.get_by_role("heading", name=re.compile(r"^ann-.*: (queued|running)"))).to_be_visible()
    progress = page.get_by_text(re.compile("Epoch 1 of 1, batch"))
    expect(progress).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
    first = progress.inner_text()
    expect(progress.or_(page.get_by_text("Finished"))).not_to_have_text(first, timeout=LONG)
    expect(page.get_by_text(re.compile(r"Finished: it reads \d"))).to_be_visible(timeout=LONG)
    expect(page.get_by_test_id("stVegaLiteChart").locator("canvas, svg")).to_have_count(2)
    expect(page.locator(".st-key-stop")).to_have_count(0)
    expect(visit("/train").page.get_by_text(re.compile(r"Finished: it reads \d"))).to_be_visible()
    expect(visitor.follow("/").page.get_by_text("Models that read")).to_be_visible()


def test_a_run_goes_on_while_nobody_looks_and_can_be_stopped(visit, handwriting):
    visitor = choose(visit("/train"), "CNN", 30)
    visitor.page.locator(".st-key-train button").click()
    expect(visitor.page.get_by_text(re.compile("Epoch 1 of 30, batch"))).to_be_visible(timeout=LONG)
    visitor.leave()
    again = visit("/train")
    expect(again.page.get_by_text(re.compile("Epoch 1 of 30, batch"))).to_be_visible()
    visit().draw(handwriting[3]).sees(3)
    again.page.locator(".st-key-stop button").click()
    expect(again.page.get_by_text("Stopped before its end")).to_be_visible(timeout=LONG)
    expect(again.page.locator(".st-key-stop")).to_have_count(0)
