"""Why a drawing was read so, as people look into it."""

import pytest
from live import run_server
from visitor import PHONE, expect

from digit_core.bank import BANK_FILE

VIEWS = {"Which ink": ("ink", 2), "Look-alikes": ("alike", 6), "What if": ("changes", 9), "Replay": ("replay", 1)}


def look(visitor, name):
    """Choose a view and wait until its pictures are painted."""
    key, count = VIEWS[name]
    visitor.page.locator(".st-key-inside").get_by_text(name, exact=True).click()
    pictures = visitor.page.locator(f".st-key-inside_{key} img")
    expect(pictures).to_have_count(count)
    for picture in pictures.all():
        expect(picture).to_have_js_property("complete", True)
        expect(picture).not_to_have_js_property("naturalWidth", 0)
        assert picture.get_attribute("alt")
    return visitor.settle()


@pytest.mark.parametrize("screen", [{}, PHONE | {"scheme": "dark"}], ids=["desktop", "phone"])
def test_an_answer_is_looked_into_in_every_way(visit, handwriting, screen):
    visitor = visit("/", **screen).draw_slowly(handwriting[7]).sees(7)
    for name in VIEWS:
        look(visitor, name)
        assert visitor.overflow() == []


def test_a_view_follows_what_is_drawn_next_and_goes_with_it(visit, handwriting):
    visitor = look(visit("/").draw_slowly(handwriting[3]).sees(3), "Which ink")
    expect(visitor.page.locator(".st-key-inside_ink img").first).to_have_attribute(
        "alt", "The ink that speaks for a 3, in orange"
    )
    visitor.clear()
    expect(visitor.page.locator(".st-key-inside_ink img")).to_have_count(0)
    visitor.draw_slowly(handwriting[0]).sees(0)
    expect(visitor.page.locator(".st-key-inside_ink img").first).to_have_attribute(
        "alt", "The ink that speaks for a 0, in orange"
    )


def test_a_replay_is_moved_by_the_keyboard(visit, handwriting):
    visitor = look(visit("/").draw_slowly(handwriting[7]).sees(7), "Replay")
    picture = visitor.page.locator(".st-key-inside_replay img").first
    whole = picture.get_attribute("alt") or ""
    visitor.page.get_by_role("slider", name="Drawn so far").press("ArrowLeft")
    expect(picture).not_to_have_attribute("alt", whole)
    assert (picture.get_attribute("alt") or "").startswith("Step ")


@pytest.mark.slow
def test_whoever_goes_on_while_digits_are_drawn_to_look_through_does_not_wait(
    visit, isolate, handwriting, tmp_path, monkeypatch
):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)  # else its digits are looked through
    with run_server(tmp_path, isolate(tmp_path)) as server:
        visitor = visit("/", server).draw_slowly(handwriting[7]).sees(7)
        visitor.page.locator(".st-key-inside").get_by_text("Look-alikes", exact=True).click()
        expect(visitor.page.get_by_text("Looking through thousands of digits")).to_be_visible()
        visitor.follow("/guide")
        assert not (server.settings.data / BANK_FILE).exists()
        assert visitor.leave() == []
        server.process.kill()  # it would draw them to the end
