"""Whatever the screen: narrow or wide, light or dark, opened at any page."""

import numpy as np
import pytest
from visitor import PHONE, Visitor, expect


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_reaches_beyond_the_edge_of_the_screen(visit, lived_in, handwriting, width):
    visitor = visit(width=width, touch=width < 1000).draw(handwriting[4]).sees(4)
    assert visitor.overflow() == []
    for path in ("/train", "/feedback"):
        visitor.follow(path)
        expect(visitor.page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
        assert visitor.settle().overflow() == [], path


def test_on_a_narrow_screen_the_menu_closes_over_the_page_that_was_chosen(visit):
    visitor = visit(**PHONE)
    for path in ("/train", "/learn", "/"):
        visitor.follow(path)
        expect(visitor.menu_drawer()).not_to_be_in_viewport()


def test_on_a_narrow_screen_a_drawing_can_be_judged(visit, handwriting):
    visitor = visit(width=320, height=568, touch=True).draw(handwriting[7]).sees(7)
    visitor.page.locator(".st-key-correct_9 button").tap()
    expect(visitor.page.get_by_text("Logged")).to_be_visible()


def test_what_starts_a_training_is_in_sight_on_a_small_desktop(visit):
    button = visit("/train").page.locator(".st-key-train button")
    expect(button).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("path", ["/train", "/models", "/feedback", "/learn"])
def test_a_bookmark_opens_its_page_and_the_menu_names_the_pages(fresh_server, visit, path):
    links = visit(path, server=fresh_server).menu().all_inner_texts()
    names = [link.splitlines()[-1] for link in links]  # an icon's name stands above
    assert names[:7] == ["Draw", "Train", "Models", "Collect", "Feedback", "Learn", "Guide"]
    assert not {"router", "shared", "draw"} & {name.strip(" _") for name in names}


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark_follow_the_system_and_can_be_read(visit, lived_in, handwriting, scheme, dark):
    visitor = visit(scheme=scheme).draw(handwriting[6]).sees(6)
    ground = luminance(visitor, '[data-testid="stApp"]', "backgroundColor")
    assert (ground < 0.2) == dark
    for place in ("h1", ".st-key-answer_cnn [data-testid=stMetricValue]", ".st-key-verdict button"):
        assert contrast(ground, luminance(visitor, place, "color")) > 4.5, place
    for path in ("/train", "/feedback"):
        visitor.follow(path)
        assert (
            contrast(luminance(visitor, '[data-testid="stApp"]', "backgroundColor"), luminance(visitor, "h1", "color"))
            > 4.5
        )


def luminance(visitor: Visitor, place: str, kind: str) -> float:
    """Relative luminance, 0-1, of an element's colour (WCAG 2)."""
    colour = visitor.page.locator(place).first.evaluate(
        """(element, kind) => {
            const context = document.createElement("canvas").getContext("2d");
            context.fillStyle = getComputedStyle(element)[kind];
            context.fillRect(0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }""",
        kind,
    )
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)
