"""Drawing and judging with mouse and finger."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import cv2
import pytest
from live import Server
from visitor import PHONE, Visitor, expect

from digit_core.feedback import FeedbackStore
from digit_core.feedback_stats import FeedbackStats
from digit_core.strokes import sketch

SEEN = 0.001  # the layout shift from which a person could see one: a hundredth of what web.dev calls good


@pytest.mark.parametrize("digit", [2, 4, 8])
def test_a_digit_drawn_with_the_mouse_is_read_by_both_models(visit, handwriting, digit):
    visit().draw(handwriting[digit]).sees(digit)


@pytest.mark.parametrize("digit", [3, 5])
def test_a_digit_drawn_with_a_finger_is_read_by_both_models(visit, handwriting, digit):
    visit(**PHONE).draw(handwriting[digit]).sees(digit)


def test_a_small_digit_in_a_corner_is_read(visit, handwriting):
    visit().draw(handwriting[2], size=0.15, left=0.83, top=0.83).sees(2)


@pytest.mark.parametrize(("digit", "left", "top"), [(2, 0.3, 0.02), (7, 0.1, 0.2)], ids=["right", "below"])
def test_a_stroke_that_ends_beside_the_canvas_is_read(visit, handwriting, digit, left, top):
    visit().draw(handwriting[digit], size=0.95, left=left, top=top).sees(digit)


def test_an_answer_follows_the_drawing(visit, handwriting):
    visitor = visit().draw(handwriting[1]).sees(1)
    visitor.clear().sees_no_answer().draw(handwriting[6]).sees(6)


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_nothing_moves_when_an_answer_comes(visit, handwriting, screen):
    visitor = visit(**screen)
    visitor.page.wait_for_timeout(500)
    visitor.page.evaluate(
        """() => {
            window.moves = [0];
            const note = list => window.moves.push(...list.getEntries().map(each => each.value));
            new PerformanceObserver(note).observe({ type: "layout-shift" });
        }"""
    )
    visitor.draw(handwriting[7]).sees(7)
    expect(visitor.page.get_by_test_id("stVegaLiteChart").locator("canvas, svg").first).to_be_visible()
    visitor.page.wait_for_timeout(500)
    assert visitor.page.evaluate("Math.max(...window.moves)") < SEEN
    visitor.page.evaluate("document.querySelector('h1').style.marginBottom = '100px'")
    visitor.page.wait_for_function("seen => Math.max(...window.moves) > seen", arg=SEEN)


def test_undo_takes_the_last_stroke_off_the_canvas(visit, handwriting):
    visitor = visit().draw(handwriting[7]).sees(7)
    ink = visitor.ink()
    visitor.draw_slowly(handwriting[0]).has_ink(lambda now: now > 1.5 * ink)
    visitor.undo().has_ink(lambda now: now == ink).sees(7)


def test_a_drawing_is_drawn_on_after_undo(visit, handwriting):
    visitor = visit(**PHONE).draw_slowly([*handwriting[4][:1], *handwriting[0]])
    visitor.undo().draw(handwriting[4][1:]).sees(4)


def test_clear_empties_the_canvas_and_undo_brings_the_drawing_back(visit, handwriting):
    visitor = visit().draw(handwriting[3]).sees(3)
    ink = visitor.ink()
    visitor.clear().sees_no_answer().has_ink(lambda now: now == 0)
    visitor.undo().sees(3).has_ink(lambda now: now == ink)


def test_a_drawing_survives_a_change_of_page(visit, handwriting):
    visitor = visit().draw(handwriting[5]).sees(5)
    ink = visitor.ink()
    visitor.follow("/train").follow("/feedback").follow("/").sees(5).has_ink(lambda now: now == ink)


def test_on_a_phone_a_drawing_survives_a_change_of_page_and_is_drawn_on(visit, handwriting):
    visitor = visit(**PHONE).draw_slowly(handwriting[4][:1])
    visitor.follow("/feedback").follow("/").draw(handwriting[4][1:]).sees(4)


def test_another_pen_leaves_drawing_and_answer_as_they_are(visit, handwriting):
    visitor = visit().draw(handwriting[9]).sees(9)
    ink = visitor.ink()
    visitor.press("Pen")
    slider = visitor.page.get_by_role("slider")
    slider.press("ArrowRight")
    expect(slider).to_have_value("21")
    visitor.settle().sees(9)
    assert visitor.ink() == ink


def test_with_live_reading_off_the_answer_waits_for_classify(visit, handwriting):
    visitor = visit()
    visitor.page.get_by_text("Read as I draw").click()
    visitor.settle().draw(handwriting[6])
    expect(visitor.page.get_by_role("button", name="Classify")).to_be_visible()
    visitor.sees_no_answer().press("Classify").sees(6)


def test_clear_answer_leaves_the_drawing(visit, handwriting):
    visitor = visit().draw(handwriting[3]).sees(3)
    ink = visitor.ink()
    visitor.press("Clear answer").sees_no_answer()
    assert visitor.ink() == ink


def test_two_visitors_do_not_see_each_other(visit, handwriting):
    first, second = visit(), visit(**PHONE)
    first.draw(handwriting[2])
    second.draw(handwriting[7])
    first.sees(2)
    second.sees(7).clear().sees_no_answer()
    first.sees(2)
    visit().sees_no_answer()


# Pictures


def show(visitor: Visitor, file: Path) -> Visitor:
    """Choose a file from the disk."""
    visitor.page.get_by_text("Upload", exact=True).click()
    visitor.page.locator('input[type="file"]').set_input_files(file)
    return visitor


@pytest.mark.parametrize("dark_on_light", [False, True])
def test_an_uploaded_picture_is_read(visit, handwriting, tmp_path, dark_on_light):
    image = sketch([stroke * 200 + 40 for stroke in handwriting[2]], pen=16)
    cv2.imwrite(str(tmp_path / "two.png"), 255 - image if dark_on_light else image)
    show(visit(), tmp_path / "two.png").sees(2)


def test_a_text_named_as_a_picture_is_told_in_a_sentence(visit, tmp_path):
    (tmp_path / "seven.png").write_text("Dear diary")
    visitor = show(visit(), tmp_path / "seven.png")
    expect(visitor.page.get_by_test_id("stAlert").first).to_contain_text("cannot be read")
    visitor.sees_no_answer()


def test_a_snapshot_of_the_camera_is_read_or_refused_in_a_sentence(visit):
    visitor = visit()
    visitor.page.get_by_text("Camera", exact=True).click()
    expect(visitor.page.locator("video")).to_have_js_property("readyState", 4)
    visitor.page.get_by_role("button", name="Take photo").click()
    refusal = visitor.page.get_by_test_id("stAlertContentError")
    expect(visitor.answer("cnn").or_(refusal).first).to_be_visible()


# What people say of an answer


@pytest.fixture
def stats(server) -> Iterator[Callable[[], FeedbackStats]]:
    store = FeedbackStore(server.settings.database_url)
    yield store.stats
    store.close()


def totals(visitor: Visitor) -> list[int]:
    """Drawings judged and drawings misread, as the feedback page counts them."""
    figures = visitor.follow("/feedback").page.locator(".st-key-totals").get_by_test_id("stMetricValue")
    expect(figures).to_have_count(4)
    judged, _, misread, _ = figures.all_inner_texts()
    return [int(judged), int(misread)]


def test_right_is_logged_and_the_feedback_page_counts_it(visit, handwriting, stats):
    before = stats()
    visitor = visit().draw(handwriting[7]).sees(7).press("Right")
    expect(visitor.page.get_by_text("Logged: right, it is a 7")).to_be_visible()
    assert totals(visitor) == [before.total + 1, before.total - before.correct]
    assert stats().correct == before.correct + 1


def test_a_correction_is_logged_and_the_feedback_page_counts_it(visit, handwriting, stats):
    before = stats()
    visitor = visit(**PHONE).draw(handwriting[7]).sees(7)
    visitor.page.locator(".st-key-correct_1 button").click()
    expect(visitor.page.get_by_text("Logged: read as 7, but it is 1")).to_be_visible()
    assert totals(visitor) == [before.total + 1, before.total - before.correct + 1]
    assert stats().total == before.total + 1


def test_impatient_clicks_on_right_while_the_database_is_busy_log_once(visit, handwriting, stats, server):
    before = stats()
    visitor = visit().draw(handwriting[7]).sees(7)
    busy = sqlite3.connect(server.settings.database_url.removeprefix("sqlite:///"))
    busy.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        visitor.page.get_by_role("button", name="Right").click()
        visitor.page.wait_for_timeout(500)
    busy.close()
    expect(visitor.page.get_by_text("Logged")).to_be_visible()
    visitor.settle().follow("/feedback")
    assert stats().total == before.total + 1


def test_what_was_said_can_be_taken_back(visit, handwriting, stats):
    before = stats()
    visitor = visit().draw(handwriting[7]).sees(7).press("Right").press("Take back")
    expect(visitor.page.get_by_role("button", name="Right")).to_be_visible()
    assert stats().total == before.total


@pytest.fixture
def locked_database(fresh_server: Server) -> Iterator[Callable[[], sqlite3.Connection]]:
    """Let nobody write into the server's database, as on a full disk, until the connection is closed."""
    with closing(sqlite3.connect(fresh_server.settings.database_url.removeprefix("sqlite:///"))) as connection:
        yield lambda: connection.execute("BEGIN EXCLUSIVE").connection


def test_what_could_not_be_logged_stays_on_the_canvas_and_is_drawn_on(
    fresh_server, locked_database, visit, handwriting
):
    visitor = visit(server=fresh_server).draw(handwriting[4][:1])
    verdict = visitor.page.locator(".st-key-correct_none button")
    expect(verdict).to_be_visible()
    ink, connection = visitor.settle().ink(), locked_database()
    verdict.click()
    expect(visitor.page.get_by_test_id("stAlertContentError")).to_contain_text("is locked by another program")
    visitor.page.wait_for_timeout(1500)
    assert visitor.ink() == ink
    connection.close()
    visitor.draw(handwriting[4][1:]).sees(4)
    assert visitor.ink() > ink


def test_what_could_not_be_collected_stays_on_the_canvas(fresh_server, locked_database, visit, handwriting):
    visitor = visit("/collect", fresh_server).draw(handwriting[7])
    ink, connection = visitor.tell().ink(), locked_database()
    visitor.press("Keep")
    expect(visitor.page.get_by_test_id("stAlertContentError")).to_contain_text("is locked by another program")
    visitor.page.wait_for_timeout(1500)
    assert visitor.ink() == ink
    connection.close()
    visitor.keep()
    expect(visitor.page.get_by_text("1 of 50 drawings")).to_be_visible()
