"""What people said, seen and changed in a real browser."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import expect
from visitor import PHONE

from digit_core.feedback import FeedbackStore


@pytest.fixture
def store(server) -> Iterator[FeedbackStore]:
    with closing(FeedbackStore(server.settings.database_url)) as store:
        yield store


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_a_misread_drawing_is_shown_corrected_deleted_and_brought_back(visit, handwriting, store, screen):
    before = store.stats()
    visitor = visit(**screen).draw(handwriting[7]).sees(7)
    visitor.page.locator(".st-key-correct_none button").click()
    expect(visitor.page.get_by_text("Logged")).to_be_visible()
    visitor.follow("/feedback").choose("Drawings").press("Open")
    expect(visitor.page.get_by_text("CNN read 7")).to_be_visible()
    images = visitor.page.locator("img[alt*=drawing]")
    expect(images).to_have_count(2)
    for image in images.all():
        expect(image).to_have_js_property("complete", True)
        expect(image).not_to_have_js_property("naturalWidth", 0)
    visitor.press("1")
    expect(visitor.page.get_by_text("Corrected: it is 1.")).to_be_visible()
    assert store.stats().by_digit[1][0] == before.by_digit[1][0] + 1
    visitor.page.wait_for_timeout(600)  # sooner, it would belong to the same press
    visitor.press("Delete")
    expect(visitor.page.get_by_text("Deleted.")).to_be_visible()
    assert store.stats().total == before.total
    visitor.press("Undo")
    expect(visitor.page.get_by_text("Deleted.")).to_have_count(0)
    assert store.stats().total == before.total + 1
    assert visitor.overflow() == []


def test_what_was_exported_can_be_imported_again(visit, handwriting, store, tmp_path):
    visitor = visit().draw(handwriting[7]).sees(7).press("Right")
    expect(visitor.page.get_by_text("Logged")).to_be_visible()
    total = store.count()
    visitor.follow("/feedback").choose("Files").press("Make a file of")
    with visitor.page.expect_download() as waiting:
        visitor.page.get_by_test_id("stDownloadButton").get_by_role("button").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)
    visitor.page.locator('input[type="file"]').set_input_files(file)
    visitor.press("Import")
    expect(visitor.page.get_by_text(f"0 drawings added, {total:,} known already")).to_be_visible()
