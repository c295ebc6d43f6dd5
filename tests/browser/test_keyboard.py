"""The main ways through the app, by the keyboard alone; a picture stands in for the drawing."""

import re

import pytest
from visitor import Visitor, expect

from digit_core.pictures import encode_png
from digit_core.runs import list_runs
from digit_core.strokes import sketch

FURTHEST = 150  # presses of Tab


def reach(visitor: Visitor, place: str, name: str = "") -> Visitor:
    """Press Tab until what has the focus lies in a place, named by a selector, and its name begins so."""
    for _ in range(FURTHEST):
        visitor.page.keyboard.press("Tab")
        focused = visitor.page.evaluate(
            """place => {
                const focused = document.activeElement;
                const name = focused.getAttribute("aria-label") || focused.innerText || "";
                return focused.closest(place) ? name.split("\\n").pop().trim() : null;
            }""",
            place,
        )
        if focused is not None and focused.startswith(name):
            return visitor
    raise AssertionError(f"Tab does not lead to {place} {name}")


def press(visitor: Visitor, *keys: str) -> Visitor:
    for key in keys:
        visitor.page.keyboard.press(key)
    return visitor.settle()


def test_a_picture_is_given_judged_looked_into_and_found_in_the_log(visit, handwriting, tmp_path):
    visitor = visit()
    page = visitor.page
    reach(visitor, ".st-key-mode")
    press(visitor, "ArrowRight", "Space")
    expect(visitor.canvas()).to_have_count(0)
    expect(page.get_by_test_id("stFileUploader").get_by_text("Upload", exact=True)).to_be_visible()
    picture = tmp_path / "4.png"
    picture.write_bytes(encode_png(sketch([stroke * 200 + 40 for stroke in handwriting[4]], 20)))
    reach(visitor, '[data-testid="stFileUploader"]', "Upload")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    visitor.sees(4)
    reach(visitor, ".st-key-verdict", "Right, it is a 4")
    press(visitor, "Enter")
    expect(page.get_by_text("Logged: right, it is a 4")).to_be_visible()
    reach(visitor, ".st-key-inside")
    press(visitor, "Space")
    expect(page.locator(".st-key-inside_ink img").first).to_be_visible()
    page.keyboard.press("Control+Home")
    reach(visitor, '[data-testid="stTopNavLink"]', "Feedback")
    press(visitor, "Enter").settle("/feedback")
    reach(visitor, ".st-key-view")
    press(visitor, "ArrowRight", "Space")
    expect(page.get_by_text("It is 4").first).to_be_visible()
    reach(visitor, '[data-testid="stButton"]', "Open")
    press(visitor, "Enter")
    expect(page.get_by_text(re.compile("CNN read 4")).first).to_be_visible()


def test_a_run_is_chosen_in_its_table(visit, server, keep_run):
    for number in range(2):
        keep_run(f"ann-{number}", "queued", "started", "stopped", age=60 - number, settings=server.settings)
    visitor = visit("/train")
    expect(visitor.page.get_by_role("heading", name="ann-1: stopped")).to_be_visible()
    reach(visitor, "canvas")
    visitor.page.keyboard.press("Home")
    runs = list_runs(server.settings)
    for _ in runs:
        press(visitor, "ArrowDown")
    press(visitor, "Shift+Space")
    expect(visitor.page.get_by_role("heading", name=runs[-1].run_id)).to_be_visible()


def test_models_are_chosen_by_name_and_a_cell_is_looked_into(visit):
    visitor = visit("/models")
    page = visitor.page
    reach(visitor, ".st-key-looked_at")
    page.keyboard.type("cnn")
    press(visitor, "Enter", "Escape")
    expect(page.get_by_role("heading", name="cnn: CNN")).to_be_visible()
    expect(page.locator(".st-key-cell_read")).to_be_visible()
    reach(visitor.settle(), ".st-key-cell_true")
    page.keyboard.type("3")
    press(visitor, "Enter")
    reach(visitor, ".st-key-cell_read")
    page.keyboard.type("3")
    press(visitor, "Enter")
    expect(page.get_by_text("A 3, read as 3:")).to_be_visible()
    reach(visitor, "[class*=st-key-look_]")
    press(visitor, "Enter")
    expect(page.get_by_role("button", name="All images")).to_be_visible()


@pytest.mark.parametrize(
    ("path", "place", "name"),
    [
        ("/", ".st-key-canvas_tools", "Clear"),
        ("/train", ".st-key-train", "Train"),
        ("/collect", ".st-key-keep", "Keep"),
        ("/learn", ".st-key-base_model", ""),
    ],
)
def test_what_a_page_is_for_is_within_reach(visit, path, place, name):
    reach(visit(path), place, name)
