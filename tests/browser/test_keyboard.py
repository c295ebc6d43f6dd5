"""The main ways through the app, by the keyboard alone; a picture stands in for the drawing."""

import re

import pytest
from visitor import Visitor, expect

from digit_core.pictures import encode_png
from digit_core.runs import list_runs
from digit_core.strokes import sketch

FURTHEST = 150  # presses of Tab
SHOWN = """[...document.querySelectorAll("a[href], button, input, textarea, [role=slider], [role=combobox]")].filter(
    each => each.checkVisibility({ visibilityProperty: true, opacityProperty: true })
        && each.offsetWidth > 1 && !each.disabled && !each.closest("[aria-hidden=true], [inert]")
)"""


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
    picture = tmp_path / "4.png"
    picture.write_bytes(encode_png(sketch([stroke * 200 + 40 for stroke in handwriting[4]], 20)))
    visitor = visit()
    page = visitor.page
    page.on("filechooser", lambda chooser: chooser.set_files(picture))  # long before Enter, or it may miss it
    reach(visitor, ".st-key-mode")
    press(visitor, "ArrowRight", "Space")
    expect(visitor.canvas()).to_have_count(0)
    expect(page.get_by_test_id("stFileUploader").get_by_text("Upload", exact=True)).to_be_visible()
    reach(visitor.settle(), '[data-testid="stFileUploader"]', "Upload")
    page.keyboard.press("Enter")
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
    expect(page.get_by_role("heading", name="CNN")).to_be_visible()
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


@pytest.mark.slow
def test_whatever_can_be_pressed_is_reached(visit, lived_in, handwriting):
    """On each page and in each view. Where arrows do what a part's small buttons do, Tab leads to the part alone."""
    visitor = visit()
    page = visitor.page

    def reach_all() -> None:
        visitor.settle().page.wait_for_timeout(500)
        page.keyboard.press("Control+Home")
        page.evaluate(
            f"""() => {{
                window.reached = new Set();
                document.addEventListener("focusin", event => window.reached.add(event.target));
                window.shown = {SHOWN};
            }}"""
        )
        for _ in range(FURTHEST // 10):
            for _ in range(10):
                page.keyboard.press("Tab")
            missed = page.evaluate(
                """() => {
                    const part = each => each.closest("[data-testid=stElementContainer]");
                    const parts = new Set([...window.reached].map(part));
                    const inGroup = each => each.tabIndex < 0 || each.closest("[data-testid=stButtonGroup]");
                    const byArrows = each => inGroup(each) && parts.has(part(each));
                    return window.shown.filter(each => each.isConnected && !window.reached.has(each) && !byArrows(each))
                        .map(each => each.outerHTML);
                }"""
            )
            if not missed:
                return
        raise AssertionError("\n".join(missed))

    reach_all()
    visitor.draw(handwriting[7]).sees(7)
    for view in ("Which ink", "Look-alikes", "What if", "Replay"):
        page.locator(".st-key-inside").get_by_text(view, exact=True).click()
        expect(page.locator(".st-key-see_inside img").first).to_be_visible()
        reach_all()
    for path in ("/train", "/models", "/collect", "/learn", "/guide", "/feedback"):
        visitor.go(path)
        for expander in page.get_by_test_id("stExpander").all():
            expander.locator("summary").click()
        reach_all()
    for view in ("Drawings", "Doubtful", "Files"):
        visitor.choose(view)
        reach_all()
    visitor.choose("Drawings").press("Open")
    reach_all()
    visitor.go("/models")
    reach(visitor, ".st-key-looked_at")
    page.keyboard.type("ann")
    press(visitor, "Enter", "Escape")
    expect(page.locator(".st-key-cell_read")).to_be_visible()
    for view in ("Where it errs", "Layers and settings", "Files"):
        page.locator(".st-key-model_view").get_by_text(view).click()
        reach_all()


def test_what_is_out_of_reach_is_found(visit):
    visitor = visit()
    visitor.page.evaluate("document.querySelector('.st-key-canvas_tools').inert = true")
    with pytest.raises(AssertionError, match=r"does not lead to \.st-key-canvas_tools Undo"):
        reach(visitor, ".st-key-canvas_tools", "Undo")
