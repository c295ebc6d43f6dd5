import json
from dataclasses import replace
from datetime import timedelta

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from entries import NOON, image_of, keep, say
from hypothesis import given
from hypothesis import strategies as st
from images import draw_dataset

from digit_core import learning, runs
from digit_core.cli import main
from digit_core.errors import DataUnavailable, InvalidConfig, ModelUnavailable
from digit_core.learning import (
    compare,
    find_losses,
    hold_out,
    leave_out_doubtful,
    load_lessons,
    plan_fine_tuning,
)
from digit_core.model_store import load_default, load_info
from digit_core.settings import STARTERS, read_settings
from digit_core.strokes import render
from digit_core.tables import digest_of
from digit_core.training import split_validation
from digit_core.types import Comparison, Drawing


def drawn(digit, handwriting, **changes):
    """What a person says of a digit that somebody wrote by hand, a 1 having been read."""
    ink = np.random.default_rng(digit).integers(0, 256, (28, 28), dtype=np.uint8)
    return say(digit, 1, drawing=Drawing(tuple(stroke * 200 for stroke in handwriting[digit])), image=ink, **changes)


@pytest.fixture
def plan(monkeypatch):
    """The settings of a fine-tuning of the CNN on few synthetic digits."""
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    monkeypatch.delenv("DIGIT_LAB_PEN_DIGITS", raising=False)
    monkeypatch.setattr(learning, "load_synthetic", lambda settings: draw_dataset(1_200, 50))
    monkeypatch.setattr(learning, "SYNTHETIC", 200)
    monkeypatch.setattr(learning, "STRESS", 50)
    settings = read_settings()
    return plan_fine_tuning(load_info("cnn", settings), settings), settings


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.sampled_from([7, None])), max_size=60))
def test_nothing_is_lost_and_only_digits_are_held_out(drawings):
    entries = [replace(say(digit), session_id=name) for name, digit in drawings]
    kept, held_out = hold_out(entries)
    assert sorted(entry.id for entry in kept + held_out) == sorted(entry.id for entry in entries)
    assert all(entry.true_digit is not None for entry in held_out)
    if sum(digit is not None for _, digit in drawings) >= learning.FEWEST:
        assert held_out


def test_whole_sessions_are_held_out():
    kept, held_out = hold_out([replace(say(7), session_id=str(number)) for number in range(40) for _ in range(3)])
    assert held_out and not {entry.session_id for entry in kept} & {entry.session_id for entry in held_out}


def test_a_session_of_most_of_the_drawings_is_not_held_out_whole():
    drawn = next(name for name in map(str, range(100)) if learning._lot(name) < learning.HELD_OUT)
    sessions = [drawn] * 200 + ["a", "b", "c", "d"]
    kept, held_out = hold_out([replace(say(7), session_id=name) for name in sessions])
    assert len(kept) > 100 and len(held_out) > 20


def test_what_the_base_has_learned_is_not_held_out():
    entries = [say(7, image=image_of(20 + number)) for number in range(50)]
    known = {digest_of(entry.image) for entry in hold_out(entries)[0]}
    new = [replace(say(7, image=image_of(100 + number)), session_id=str(number)) for number in range(50)]
    held_out = hold_out([*entries, *new], known)[1]
    assert held_out and not known & {digest_of(entry.image) for entry in held_out}


def test_about_a_fifth_is_held_out_and_stays_so_when_more_is_said():
    entries = [replace(say(7), session_id=str(number)) for number in range(500)]
    before = {entry.id for entry in hold_out(entries[:100])[1]}
    after = {entry.id for entry in hold_out(entries)[1]}
    assert before < after and 75 < len(after) < 125


def test_labels_in_doubt_are_not_learned_unless_somebody_looked_at_them():
    sound, blank = say(1, image=image_of(60)), say(1, image=image_of(3))
    one, other = say(7, image=image_of(70)), say(2, image=image_of(70))
    reviewed = replace(blank, id=say(1).id, reviewed_at=NOON)
    left = leave_out_doubtful([sound, blank, one, other, reviewed])
    assert left == [sound, reviewed]


def test_equal_drawings_count_once():
    assert len(leave_out_doubtful([say(7), say(7), say(7), say(3, image=image_of(60))])) == 2


def test_corrections_are_written_again_and_are_few_among_images_of_old(plan, handwriting):
    config, settings = plan
    keep(*[drawn(digit, handwriting) for digit in range(2, 7)], say(3, 3, image=image_of(99)), say(None, 4))
    lessons = load_lessons(config, settings)
    assert lessons.learned + lessons.confirmed + lessons.held_out == 7 and lessons.held_out > 0
    images, digits = lessons.dataset.x_train, lessons.dataset.y_train
    assert images.dtype == np.uint8 and len(images) == len(digits)
    repeated = lessons.learned * learning.MOST_REPEATS
    assert len(images) == round((repeated + lessons.confirmed + 200 + 1_100) / (1 - config.validation_fraction))
    assert len(np.unique(images[:repeated], axis=0)) > 0.5 * repeated, "strokes are written anew each time"
    assert set(lessons.measured) >= {"test images of synthetic", "drawings entered in every way"}


def test_a_lesson_is_written_again_as_one_hand_writes(plan, handwriting):
    config, settings = plan
    keep(*[drawn(digit, handwriting) for digit in range(2, 7)])
    lessons = load_lessons(config, settings)
    again = slice(1, lessons.learned * learning.MOST_REPEATS, 2)
    likenesses = [
        np.corrcoef(*(cv2.GaussianBlur(seen, (0, 0), 1.5).ravel() for seen in (image, render(handwriting[digit]))))[
            0, 1
        ]
        for image, digit in zip(lessons.dataset.x_train[again], lessons.dataset.y_train[again], strict=True)
    ]
    assert 0.9 < np.median(likenesses) < 0.99


def test_what_validates_is_what_no_base_has_learned_and_is_not_learned_now(plan):
    config, settings = plan
    keep(say(7, 1))
    old, dataset = learning.load_synthetic(settings), load_lessons(config, settings).dataset
    x_train, _, x_validation, _ = split_validation(dataset, config.validation_fraction)
    cut = round(len(old.x_train) * 11 / 12)
    unseen = {image.tobytes() for image in old.x_train[cut:]}
    assert len(x_validation) > 10
    assert {image.tobytes() for image in x_validation} <= unseen
    assert not unseen & {image.tobytes() for image in x_train}


def test_drawings_of_no_digit_are_learned_as_such(plan):
    config, settings = plan
    keep(say(None, 4), say(7, 7, image=image_of(60)))
    assert -1 in load_lessons(config, settings).dataset.y_train


def test_only_one_visitors_drawings_are_learned_where_one_is_named(plan, handwriting):
    config, settings = plan
    keep(drawn(7, handwriting, visitor="Zoë"), drawn(2, handwriting))
    lessons = load_lessons(replace(config, visitor="Zoë"), settings)
    assert lessons.learned == 1 and set(lessons.dataset.y_train[: learning.MOST_REPEATS]) == {7}


def test_only_drawings_of_some_days_are_learned_where_days_are_named(plan, handwriting):
    config, settings = plan
    keep(*[drawn(digit, handwriting, created_at=NOON + timedelta(days=digit)) for digit in (2, 3, 4)])
    since, until = ((NOON + timedelta(days=day)).isoformat() for day in (3, 4))
    lessons = load_lessons(replace(config, since=since, until=until), settings)
    assert lessons.learned == 1 and set(lessons.dataset.y_train[: learning.MOST_REPEATS]) == {3}
    with pytest.raises(DataUnavailable, match="Nobody has said in those days"):
        load_lessons(replace(config, until=NOON.isoformat()), settings)


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-01", "2026-03-01T12:00:00"])
def test_a_moment_that_is_none_is_told(plan, moment):
    config, settings = plan
    with pytest.raises(InvalidConfig, match=r"is chosen by .* no moment\. Give one as"):
        load_lessons(replace(config, since=moment), settings)


def test_labels_that_are_all_in_doubt_are_told(plan):
    config, settings = plan
    keep(say(1, image=image_of(3)))
    with pytest.raises(DataUnavailable, match="All labels are in doubt"):
        load_lessons(config, settings)


def test_lessons_are_the_newest_where_there_are_very_many(plan, monkeypatch):
    config, settings = plan
    monkeypatch.setattr(learning, "MOST", 3)
    keep(*[say(number % 10, 1, image=image_of(20 + number), minute=number) for number in range(8)])
    lessons = load_lessons(config, settings)
    assert lessons.learned == 3 and len(lessons.known) <= 4


def test_what_a_base_has_learned_is_known_to_what_learns_from_it(plan, keep_run):
    config, settings = plan
    keep(*[say(7, 1, image=image_of(20 + number)) for number in range(30)])
    first = load_lessons(config, settings)
    folder = keep_run("taught", "queued", "finished")
    metadata = json.loads((STARTERS / "cnn" / "metadata.json").read_bytes())
    (folder / "metadata.json").write_text(json.dumps(metadata | {"parent_id": "cnn"}))
    runs.save_known(folder, first.known)
    keep(*[replace(say(7, 1, image=image_of(60 + number)), session_id=str(number)) for number in range(9)])
    second = load_lessons(replace(config, base_model_id="taught"), settings)
    measured = {digest_of(image) for image in second.measured[learning.FEEDBACK][0]}
    assert first.known < second.known and measured and not measured & second.known


@pytest.mark.parametrize(("visitor", "sentence"), [(None, "Nobody has said yet"), ("Zoë", "Zoë has not said yet")])
def test_without_feedback_there_is_nothing_to_learn(plan, visitor, sentence):
    config, settings = plan
    with pytest.raises(DataUnavailable, match=sentence):
        load_lessons(replace(config, visitor=visitor), settings)


def reader(*digits):
    return lambda images: np.eye(10, dtype=np.float32)[list(digits)]


def test_two_models_are_compared_digit_by_digit():
    images = np.arange(4 * 784, dtype=np.uint32).astype(np.uint8).reshape(4, 28, 28)
    (found,), lost = compare(reader(1, 2, 3, 4), reader(1, 7, 3, 9), {"set": (images, np.array([1, 2, 3, 9]))})
    assert (found.total, found.before, found.after, found.turned_wrong) == (4, 3, 3, 1)
    assert (found.by_digit[2], found.by_digit[9], found.by_digit[0]) == ((1, 1, 0), (1, 0, 1), (0, 0, 0))
    assert (lost.y_true.tolist(), lost.y_pred.tolist()) == ([2], [7]) and np.array_equal(lost.images[0], images[1])


def test_of_what_turned_wrong_some_are_kept_peoples_drawings_first(monkeypatch):
    monkeypatch.setattr(learning, "SHOWN", 2)
    images = np.zeros((2, 28, 28), np.uint8)
    measured = {"old": (images, np.array([1, 2])), learning.FEEDBACK: (images[:1], np.array([1]))}
    _, lost = compare(
        lambda some: reader(1, 2)(some)[: len(some)], lambda some: reader(5, 6)(some)[: len(some)], measured
    )
    assert lost.y_true.tolist() == [1, 1] and len(lost.images) == 2


@pytest.mark.parametrize(
    ("name", "before", "after", "warned"),
    [
        ("test", 990, 988, False),
        ("test", 990, 987, True),
        ("test", 900, 950, False),
        (learning.FEEDBACK, 990, 0, False),
    ],
)
def test_a_model_that_forgets_is_warned_of(name, before, after, warned):
    comparison = Comparison(name, 1000, before, after, 0, ((0, 0, 0),) * 10)
    assert bool(find_losses([comparison])) == warned


def test_a_base_that_is_missing_is_told_before_the_run_is_made(plan):
    config, settings = plan
    with pytest.raises(ModelUnavailable, match="no model 'gone'"):
        runs.create_run(replace(config, base_model_id="gone"), settings)


@pytest.mark.slow
@pytest.mark.usefixtures("bank")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 under NumPy 2.4
def test_a_model_learns_by_command_is_compared_with_its_base_and_chosen(plan, handwriting, monkeypatch):
    _, settings = plan
    keep(*[drawn(digit, handwriting) for digit in range(10)])
    done = CliRunner().invoke(main, ["fine-tune", "--base", "cnn", "--id", "taught"])
    assert done.exit_code == 0, done.output
    assert "held-out feedback: " in done.stdout and "models default taught" in done.stdout
    info = load_info("taught", settings)
    assert (info.parent_id, info.dataset) == ("cnn", "synthetic+feedback")
    comparisons, counts = runs.load_comparisons("taught", settings)
    assert [each.total for each in comparisons] == [50, 50, counts["held_out"]]
    assert sum(counts.values()) == 10 and counts["confirmed"] <= 1 <= counts["held_out"]
    assert runs.load_pictures("taught", "lost", settings) is not None
    assert len(runs.load_pictures("taught", "taught", settings).images) == counts["learned"]
    assert CliRunner().invoke(main, ["models", "default", "taught"]).stdout == "taught\n"
    assert load_default(settings) == "taught"
    assert CliRunner().invoke(main, ["models", "default", "gone"]).exit_code == 1


def test_without_feedback_the_command_says_what_to_do(plan, handwriting):
    done = CliRunner().invoke(main, ["fine-tune"])
    assert done.exit_code == 1 and "Nobody has said yet" in done.stderr and "Draw some digits" in done.stderr
    keep(drawn(7, handwriting))
    done = CliRunner().invoke(main, ["fine-tune", "--since", "2026-03-02"])
    assert done.exit_code == 1 and "Nobody has said in those days" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", '{"sets": 3}', '{"sets": [{}]}', '{"sets": [], "learned": "x"}'])
def test_a_damaged_comparison_is_none(plan, keep_run, content):
    folder = keep_run("cnn-1", "queued", "finished")
    (folder / runs.COMPARISON).write_text(content)
    assert runs.load_comparisons("cnn-1", plan[1]) is None
