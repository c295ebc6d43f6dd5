"""The pictures of the documents, from the real app: python -m tests.benchmarks.screenshots (needs Chromium)."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from unittest import mock

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from digit_core.photographs import photograph
from digit_core.pictures import read_picture
from digit_core.preprocessing import find_ink, preprocess
from digit_core.settings import ROOT
from digit_core.strokes import place, sketch
from digit_core.types import Drawing
from tests.benchmarks.speed import CHROMIUM_FLAGS, server

SEVEN = (((62, 70), (120, 60), (196, 66), (170, 120), (140, 180), (122, 236)), ((96, 152), (140, 146), (190, 148)))
INSIDE = {"ink": "Which ink", "alike": "Look-alikes", "changes": "What if", "replay": "Replay"}
STEP = 240  # pixels: a picture of one step
FRAME, LAST_FRAME = 150, 2500  # milliseconds
SIZES = {"draw": (1280, 800, "light"), "draw_phone": (390, 844, "dark")}


def draw_seven(page: Page, seen: Callable[[], None] = lambda: None) -> None:
    """Draw a barred seven with the mouse and wait for the answer; `seen` is called at each turn of the pen."""
    canvas = page.locator("[class*=st-key-canvas_] canvas.upper-canvas").first
    canvas.wait_for(timeout=60_000)
    page.wait_for_timeout(500)
    box = canvas.bounding_box()
    for stroke in SEVEN:
        for number, (x, y) in enumerate(stroke):
            page.mouse.move(box["x"] + x, box["y"] + y, steps=6)
            if number == 0:
                page.mouse.down()
            seen()
        page.mouse.up()
        page.wait_for_timeout(400)
        seen()
    page.mouse.move(0, 0)
    page.get_by_text("CNN reads").wait_for()
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")
    page.wait_for_timeout(1500)


def animate(page: Page) -> None:
    """A seven is drawn, and read; then which ink decided."""
    frames: list[Image.Image] = []

    def seen() -> None:
        frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

    draw_seven(page, seen)
    seen()
    page.locator(".st-key-inside").get_by_text("Which ink", exact=True).click()
    page.locator(".st-key-inside_ink img").first.wait_for(timeout=60_000)
    page.locator(".st-key-see_inside").scroll_into_view_if_needed()
    page.wait_for_timeout(1500)
    seen()
    times = [FRAME] * (len(frames) - 2) + [LAST_FRAME] * 2
    frames[0].save(ROOT / "docs" / "draw.webp", save_all=True, append_images=frames[1:], duration=times, loop=0)


def train_on_synthetic_digits(page: Page) -> None:
    """Train an ANN twice, until the second run is well under way."""
    page.locator(".st-key-architecture").get_by_text("ANN", exact=True).click()
    page.locator(".st-key-base").get_by_text("Synthetic digits", exact=True).click()
    page.get_by_text("Learning", exact=True).click()
    for epochs, name in (("4", "first"), ("5", "second")):
        page.locator(".st-key-run_name input").fill(name)
        page.get_by_label("Epochs", exact=True).fill(epochs)
        page.get_by_label("Epochs", exact=True).press("Enter")
        page.wait_for_timeout(1500)
        page.locator(".st-key-train button").click()
        page.get_by_text("Epoch 4 of 5" if epochs == "5" else "Finished: it reads").first.wait_for(timeout=300_000)
    page.get_by_text("Learning", exact=True).click()
    page.wait_for_timeout(500)


def open_mistakes(page: Page) -> None:
    """Look at what the ANN confuses most often."""
    page.locator(".st-key-looked_at input").click(timeout=120_000)
    page.get_by_role("option", name="ANN", exact=True).click()
    page.get_by_text("of 400 right").first.wait_for()
    page.get_by_text("of 400 right").first.scroll_into_view_if_needed()
    page.mouse.wheel(0, 500)
    page.wait_for_timeout(2500)


def show_steps() -> None:
    """A drawing in a corner and a photograph, each with what becomes of it."""
    strokes = tuple(np.array(stroke, float) for stroke in SEVEN)
    canvas = sketch(place(strokes, 70, (215, 215)), 9)
    photo = read_picture(photograph(strokes, np.random.default_rng(4))).image
    cut_out = canvas[175:255, 175:255]
    rows = (
        (canvas, cut_out, preprocess(Drawing(image=canvas))),
        (255 - photo, find_ink(photo), preprocess(Drawing(image=photo))),
    )
    sheet = Image.new("RGB", (3 * (STEP + 12) - 12, 2 * (STEP + 12) - 12), "white")
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            tile = Image.fromarray(picture).resize((STEP, STEP), Image.Resampling.NEAREST)
            sheet.paste(tile, (across * (STEP + 12), down * (STEP + 12)))
    sheet.save(ROOT / "docs" / "steps.png")


def main() -> None:
    show_steps()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    os.environ.pop("DIGIT_LAB_MNIST", None)  # no image of MNIST may be in a picture
    with (
        tempfile.TemporaryDirectory() as scratch,
        mock.patch.dict(os.environ, {"HOME": scratch, "DIGIT_LAB_DATA": scratch}),
        server() as (address, *_),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for name, (width, height, scheme) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(address)
            draw_seven(page)
            page.screenshot(path=ROOT / "docs" / f"{name}.png")
            for key, words in INSIDE.items() if name == "draw" else ():
                page.locator(".st-key-inside").get_by_text(words, exact=True).click()
                page.locator(f".st-key-inside_{key} img").first.wait_for(timeout=60_000)
                page.wait_for_timeout(1500)
                page.locator(".st-key-see_inside").screenshot(path=ROOT / "docs" / f"{name}_{key}.png")
            page.goto(f"{address}/models")
            open_mistakes(page)
            page.screenshot(path=ROOT / "docs" / f"{name.replace('draw', 'models')}.png")
        page = browser.new_page(viewport={"width": 1120, "height": 740})
        page.goto(address)
        animate(page)
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{address}/train")
        train_on_synthetic_digits(page)
        page.screenshot(path=ROOT / "docs" / "train.png")
        browser.close()


if __name__ == "__main__":
    main()
