"""The operator's password, asked for in a real browser."""

import pytest
from filelock import FileLock
from playwright.sync_api import expect
from visitor import PHONE


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_the_run_of_another_is_stopped_once_the_password_is_typed(guarded_server, visit, keep_run, handwriting, screen):
    folder = keep_run("cnn-busy", "queued", "started", "batch", settings=guarded_server.settings)
    with FileLock(folder / "run.lock"):
        visitor = visit("/train", guarded_server, **screen)
        page, dialog = visitor.page, visitor.page.get_by_role("dialog")
        visitor.press("Stop")
        expect(dialog).to_be_visible()
        page.wait_for_timeout(2000)  # the run is shown anew meanwhile
        assert visitor.overflow() == []
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert not (folder / "stop").exists()

        visitor.settle().press("Stop")
        dialog.get_by_label("Password", exact=True).fill("guess")
        page.keyboard.press("Enter")
        expect(dialog.get_by_text("This is not the operator's password")).to_be_visible()
        page.keyboard.type("open sesame")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Stopping…")).to_be_visible()
        expect(dialog).to_have_count(0)
        assert (folder / "stop").exists()

    visitor.follow("/").draw(handwriting[7]).sees(7).press("Lock again")
    expect(page.get_by_text("Unlocked in this tab")).to_have_count(0)
    visitor.sees(7).has_ink(bool)
