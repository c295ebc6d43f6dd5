"""A drawing is misread, somebody says so, a model learns it and reads it rightly: the whole way, as people go it."""

import re
from contextlib import closing

import numpy as np
import pytest
from visitor import expect

from digit_core.feedback import FeedbackStore
from digit_core.model_store import load_default, save_default

pytestmark = pytest.mark.slow

LONG = 900_000  # milliseconds: a training on a machine that does other things too
LONG_FLAG = (np.array([(5, 30), (60, 5), (35, 95)]) / 100,)  # a one as some write it, which passes for a seven


def test_a_misread_drawing_is_corrected_learned_accepted_read_rightly_and_gone_back_from(visit, server):
    settings = server.settings
    with closing(FeedbackStore(settings.database_url)) as store:
        for entry in store.walk():  # what was said in other tests is not to be learned
            store.delete(entry)
    save_default("ann", settings)
    visitor = visit().draw(LONG_FLAG).sees(7)
    page = visitor.page
    page.locator(".st-key-correct_1 button").click()
    expect(page.get_by_text("Logged: read as 7, but it is 1")).to_be_visible()

    visitor.follow("/feedback")
    expect(page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
    visitor.choose("Drawings")
    expect(page.get_by_text("It is 1").first).to_be_visible()

    visitor.follow("/learn")
    page.locator(".st-key-learn button").click()
    expect(page.get_by_text(re.compile(r"Finished: it reads \d"))).to_be_visible(timeout=LONG)
    expect(page.get_by_text("learned from: 1 that were misread")).to_be_visible()
    expect(page.get_by_text("as it reads it now: 1 of 1 drawing right")).to_be_visible()
    visitor.settle().press("Accept")
    expect(page.get_by_role("button", name="Go back to ANN")).to_be_visible()
    learned = load_default(settings)
    assert learned.startswith("ann-")

    visitor.follow("/")
    expect(visitor.answer(learned)).to_have_text("1")

    visitor.follow("/learn").press("Go back to ANN")
    expect(page.get_by_role("button", name="Go back to ANN")).to_have_count(0)
    assert load_default(settings) == "ann"
    visitor.follow("/")
    expect(visitor.answer("ann")).to_have_text("7")
    save_default("cnn", settings)
