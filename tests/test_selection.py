from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from entries import NOON, image_of, say

from digit_core.feedback_stats import FeedbackStats
from digit_core.selection import Selection
from digit_core.types import Feedback

MISREAD = Selection(verdict="wrong")


def test_misread_are_those_whose_leading_answer_was_wrong(store):
    right, wrong, no_digit, collected = say(7, 7, 1), say(7, 1, 7, minute=1), say(None, 3, minute=2), say(7)
    for entry in (right, wrong, no_digit, collected):
        store.add(entry)
    assert [entry.id for entry in store.list(which=MISREAD)] == [no_digit.id, wrong.id]
    assert [entry.id for entry in store.list(1, 1, MISREAD)] == [wrong.id]
    assert len(store.list()) == 4


def test_stats_are_those_counted_by_hand(store):
    gone, sure = say(2, 2, 2), ({"model_id": "cnn", "sha256": "", "digit": 3, "confidence": 0.95},)
    for entry in (
        say(7, 7, 7, visitor="Zoë"), say(7, 1, 7), say(7, 1, 1), say(3, input_kind="upload", answers=sure),
        say(None, 8, 8, visitor="5b", minute=24 * 60), say(5), gone, say(None, 4, judged=False),
    ):  # fmt: skip
        store.add(entry)
    store.delete(gone)
    stats = store.stats()
    (low, (mean, of_low)), (high, of_high) = sorted(stats.by_confidence.items())
    assert (low, pytest.approx(mean), of_low, high, of_high) == (0.0, 0.3, (4, 1), 0.9, (0.95, (1, 1)))
    assert stats == FeedbackStats(
        total=5,
        correct=2,
        by_digit=dict.fromkeys(range(10), (0, 0)) | {3: (1, 1), 7: (3, 1)},
        by_model={"ann": (4, 1), "cnn": (5, 3)},
        confusions=[(7, 1, 2), (None, 8, 1)],
        by_kind={"canvas": (4, 1), "upload": (1, 1)},
        by_day={NOON.date(): (4, 2), NOON.date() + timedelta(days=1): (1, 0)},
        by_visitor={"5b": (1, 0), "Zoë": (1, 1)},
        by_confidence=stats.by_confidence,
        duels={("ann", "cnn"): (1, 0, 1)},
        collected=1,
    )
    assert stats.confusion_matrix[7].tolist() == [0, 2, 0, 0, 0, 0, 0, 1, 0, 0] and stats.confusion_matrix.sum() == 4


def test_stats_of_one_model_count_its_own_answers(store):
    for entry in (say(7, 7, 1), say(7, 1, 7), say(3, 3)):
        store.add(entry)
    stats = store.stats(Selection(model_id="cnn"))
    assert (stats.total, stats.correct, stats.confusions) == (2, 1, [(7, 1, 1)])
    assert store.stats(Selection(model_id="nobody")).total == 0


def test_days_are_those_of_utc(store):
    late = datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=5)))
    store.add(say(7, 7, created_at=late))
    assert list(store.stats().by_day) == [NOON.date()]


@pytest.mark.parametrize(
    ("which", "chosen"),
    [
        (Selection(), "misread right none collected named"),
        (Selection(true_digits=(7,)), "misread right named"),
        (Selection(true_digits=(None, 5)), "none collected"),
        (Selection(model_id="cnn"), "misread named"),
        (Selection(verdict="wrong"), "misread none"),
        (Selection(verdict="wrong", model_id="cnn"), "named"),
        (Selection(verdict="right"), "right named"),
        (Selection(verdict="collected"), "collected"),
        (Selection(verdict="unjudged"), "unjudged"),
        (Selection(input_kinds=("upload", "camera")), "right"),
        (Selection(visitor="Zoë"), "named"),
        (Selection(visitor="'; drop table feedback; --"), ""),
        (Selection(since=NOON + timedelta(minutes=2)), "none collected named"),
        (Selection(until=NOON + timedelta(minutes=2)), "misread right"),
        (Selection(true_digits=(7,), since=NOON + timedelta(minutes=1), verdict="right"), "right named"),
        (Selection(deleted=True), "gone"),
    ],
)
def test_a_selection_lists_and_counts_the_same_entries(store, which, chosen):
    entries = {
        "misread": say(7, 1, 7),
        "right": say(7, 7, minute=1, input_kind="upload"),
        "none": say(None, 3, minute=2),
        "collected": say(5, minute=3),
        "named": say(7, 7, 1, minute=4, visitor="Zoë"),
        "unjudged": say(None, 4, judged=False),
        "gone": say(7, 7, deleted_at=NOON),
    }
    store.add_all(list(entries.values()))
    names = {entry.id: name for name, entry in entries.items()}
    assert {names[entry.id] for entry in store.list(which=which)} == set(chosen.split())
    assert store.count(which) == len(chosen.split())


def test_collected_drawings_have_no_model(store):
    store.add_all([say(7), say(3, 3)])
    counts = [store.count(Selection(verdict="collected", model_id=name)) for name in (None, "ann")]
    assert counts == [1, 0]


@pytest.mark.parametrize("which", [Selection(verdict="wrong"), Selection(deleted=True)])
def test_answers_are_not_counted_by_what_is_counted(store, which):
    with pytest.raises(ValueError, match="by their verdict"):
        store.stats(which)


def test_an_entrys_place_is_the_number_of_newer_ones_that_are_selected(store):
    entries = [say(7, 1, minute=minute) for minute in (3, 2, 1)] + [say(3, 3, minute=2)]
    store.add_all(entries)
    assert [store.place(entry, MISREAD) for entry in entries[:3]] == [0, 1, 2]
    listed = store.list()
    assert [store.place(entry) for entry in listed] == [0, 1, 2, 3]


def doubted(true_digit: int | None, *read: tuple[int, float], **changes: Any) -> Feedback:
    answers = tuple(
        {"model_id": f"m{place}", "sha256": "", "digit": digit, "confidence": sure}
        for place, (digit, sure) in enumerate(read)
    )
    return say(true_digit, answers=answers, **changes)


def test_labels_that_all_models_surely_contradict_are_doubtful(store):
    wanted = doubted(7, (1, 0.95), (1, 0.99))
    others = [
        doubted(7, (1, 0.95), (7, 0.99)), doubted(7, (1, 0.95), (1, 0.6)), doubted(7, (1, 0.99)), doubted(7),
        doubted(1, (1, 0.99), (1, 0.99)),
    ]  # fmt: skip
    for place, entry in enumerate([wanted, *others]):
        store.add(replace(entry, image=image_of(30 + place)))
    assert [entry.id for entry in store.list(which=Selection(doubt="against"))] == [wanted.id]
    assert [entry.id for entry in store.list(which=Selection(doubt="any"))] == [wanted.id]


def test_equal_drawings_with_other_labels_are_doubtful(store):
    one, other, alone, gone = say(7), say(None), say(1, image=image_of(99)), say(3, deleted_at=NOON)
    store.add_all([one, other, alone, gone])
    assert {entry.id for entry in store.list(which=Selection(doubt="conflict"))} == {one.id, other.id}
    store.review(other, 7)
    assert store.count(Selection(doubt="any")) == 0


def test_drawings_that_are_nearly_blank_are_doubtful_until_reviewed(store):
    store.add_all([speck := say(1, image=image_of(9)), say(1, image=image_of(40))])
    assert [entry.id for entry in store.list(which=Selection(doubt="blank"))] == [speck.id]
    now = store.review(speck, 1)
    assert store.count(Selection(doubt="blank")) == 0
    store.change(now, speck)
    assert store.count(Selection(doubt="blank")) == 1


def test_an_empty_store_counts_nothing(store):
    stats = store.stats()
    assert (stats.total, stats.correct, stats.by_model, stats.confusions) == (0, 0, {}, [])


def test_what_was_deleted_is_found_be_it_judged_or_not(store):
    store.add_all([say(7, 7, deleted_at=NOON), say(None, 4, judged=False, deleted_at=NOON)])
    assert (store.count(Selection(deleted=True)), store.count(Selection(deleted=True, verdict="unjudged"))) == (2, 1)
