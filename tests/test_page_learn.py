"""The learn page without a browser."""

import json
from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pytest
from apptest import press, said
from entries import NOON, image_of, keep, say

from digit_core import runs
from digit_core.bank import BANK_FILE
from digit_core.datasets import SYNTHETIC_FILE
from digit_core.learning import plan_fine_tuning
from digit_core.model_store import load_default, load_info, model_folder, save_default, to_json
from digit_core.presets import estimate_seconds, forecast
from digit_core.settings import STARTERS, read_settings
from digit_core.types import Comparison, Pictures, TrainConfig


@pytest.fixture
def learn(app):
    return app.switch_page("learn.py").run()


def by_digit(*counts):
    return (counts, *((0, 0, 0),) * 9)


@pytest.fixture
def taught(keep_run):
    """A model that learned from the CNN: its run, and how it compares."""

    def make(before: int = 990, after: int = 995, held_out: tuple[int, int] | None = (6, 8)):
        settings = read_settings()
        folder = keep_run("taught", "queued", "started", "epoch", "finished", message="99.00 % of 1,000 test images")
        config = plan_fine_tuning(load_info("cnn", settings), settings)
        (folder / "config.json").write_bytes(to_json(config))
        for name in ("model.tflite", "model.keras", "evaluation.json"):
            (folder / name).write_bytes((STARTERS / "cnn" / name).read_bytes())
        values = json.loads((STARTERS / "cnn" / "metadata.json").read_bytes())
        values |= {"parent_id": "cnn", "config": asdict(config)}
        (folder / "metadata.json").write_text(json.dumps(values))
        sets = [Comparison("test images of mnist", 1000, before, after, 3, by_digit(1000, before, after))]
        if held_out:
            sets.append(Comparison("held-out feedback", 9, *held_out, 1, by_digit(9, *held_out)))
        runs.save_comparisons(folder, sets, {"learned": 40, "confirmed": 5, "held_out": 9})
        blank = np.zeros((1, 28, 28), np.uint8)
        runs.save_pictures(folder, "lost", Pictures(blank, np.array([7]), np.array([1])))
        runs.save_pictures(folder, "taught", Pictures(blank[[0, 0]], np.array([1, 2]), np.array([1, 7])))
        return folder

    return make


def test_without_feedback_nothing_can_be_learned(learn):
    assert "There is nothing to learn yet" in said(learn) and learn.button(key="learn").disabled


def test_an_imported_network_is_offered_neither_as_a_base_nor_as_a_teacher(app, taught):
    metadata = taught() / "metadata.json"
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"imported": True}))
    learn = app.switch_page("learn.py").run()
    assert learn.selectbox(key="base_model").options == ["CNN", "ANN"]
    train = app.switch_page("train.py").run()
    assert "taught" not in train.selectbox(key="teacher_id").options


def test_what_would_be_learned_is_told_and_started(learn, monkeypatch):
    keep(say(7, 1), say(3, 3, image=image_of(99)), say(2, visitor="Zoë"))
    plans = []
    monkeypatch.setattr(runs, "start_run", lambda config, *rest: plans.append(config) or "taught")
    learn.run()
    assert "Drawings: 3; misread: 1" in said(learn)
    learn.selectbox(key="base_model").set_value("ann").run()
    learn.selectbox(key="taught_by").set_value("Zoë").run()
    assert "Drawings: 1; misread: 0" in said(learn)
    press(learn, "Learn")
    assert [(plan.base_model_id, plan.visitor, plan.architecture) for plan in plans] == [("ann", "Zoë", "ann")]


def test_the_days_are_chosen_whose_drawings_are_learned(learn, monkeypatch):
    keep(say(7, 1), say(3, image=image_of(99), created_at=NOON + timedelta(days=2)))
    plans = []
    monkeypatch.setattr(runs, "start_run", lambda config, *rest: plans.append(config) or "taught")
    learn.run()
    learn.date_input(key="learned_days").set_value((NOON.date(), NOON.date())).run()
    assert "Drawings: 1; misread: 1" in said(learn)
    press(learn, "Learn")
    assert (plans[0].since, plans[0].until) == ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00")
    other = NOON.date() + timedelta(days=1)
    learn.date_input(key="learned_days").set_value((other, other)).run()
    assert "No drawing is among these" in said(learn) and learn.button(key="learn").disabled


def test_what_was_gained_is_shown_accepted_and_undone(learn, taught):
    taught()
    learn.run()
    assert (
        "learned from: 40 that were misread or collected, 5 that were read rightly; held out, to measure with: 9"
        in (said(learn))
    )
    table = next(frame.value for frame in learn.dataframe if "turned wrong" in frame.value)
    assert table.iloc[0].tolist() == ["test images of mnist", 99.0, 99.5, 8, 3, 1000]
    assert "**What it was taught, as it reads it now**: 1 of 2 drawings right" in [
        each.value for each in learn.markdown
    ]
    press(learn, "Accept")
    assert load_default(read_settings()) == "taught"
    press(learn, "Go back to CNN")
    assert load_default(read_settings()) == "cnn"
    assert not any(button.label.startswith("Go back") for button in learn.button)


def test_the_way_back_leads_to_the_model_that_read_before(learn, taught):
    taught()
    save_default("ann", read_settings())
    press(learn.run(), "Accept")
    press(learn, "Go back to ANN")
    assert load_default(read_settings()) == "ann"


def test_where_the_model_that_reads_is_discarded_the_one_before_reads_again(learn, taught):
    taught()
    save_default("ann", read_settings())
    press(press(learn.run(), "Accept"), "Discard")
    assert "taught is deleted. ANN reads now." in said(learn) and load_default(read_settings()) == "ann"
    press(learn, "Undo")
    assert load_default(read_settings()) == "taught"


def test_the_second_press_of_a_double_click_starts_nothing(learn, keep_run, monkeypatch):
    keep(say(7, 1))
    plans = []

    def start(config, *rest):
        plans.append(config)
        folder = keep_run(f"lesson-{len(plans)}", "queued", age=0.0)
        (folder / "config.json").write_bytes(to_json(config))
        return folder.name

    monkeypatch.setattr(runs, "start_run", start)
    press(press(learn.run(), "Learn"), "Learn")
    assert len(plans) == 1
    learn.selectbox(key="base_model").set_value("ann").run()
    press(learn, "Learn")
    assert len(plans) == 2 and learn.selectbox(key="watched_lesson").value == "lesson-2"
    learn.selectbox(key="watched_lesson").set_value("lesson-1").run()
    assert any("lesson-1" in head.value for head in learn.header)


@pytest.mark.parametrize(
    ("held_out", "sentence"),
    [
        ((6, 8), "Of the drawings held out (9) it reads 8 rightly, CNN 6; and it forgot next to nothing."),
        ((8, 8), "it reads 8 rightly, CNN as many; it forgot next to nothing. Draw with it"),
        ((8, 6), "it reads 6 rightly, CNN 8. Better discard it"),
        (None, "No drawing was held out: draw with it"),
    ],
)
def test_what_it_makes_of_drawings_that_it_did_not_learn_is_told(learn, taught, held_out, sentence):
    taught(held_out=held_out)
    assert sentence in said(learn.run())


def test_what_was_forgotten_is_warned_of(learn, taught):
    taught(before=990, after=985)
    assert (
        "It forgot: of the test images of mnist it reads 98.50\N{NO-BREAK SPACE}% rightly, CNN 99.00\N{NO-BREAK SPACE}%"
        in said(learn.run())
    )


def test_what_was_learned_can_be_discarded_and_brought_back(learn, taught):
    folder = taught()
    press(learn.run(), "Discard")
    assert not folder.exists() and "taught is deleted" in said(learn)
    press(learn, "Undo")
    assert folder.exists()


def test_the_settings_of_a_lesson_are_not_taken_into_the_form_of_a_training(learn, taught):
    taught()
    assert "Duplicate" not in [button.label for button in learn.run().button]


def test_a_lesson_without_its_comparison_is_warned_of(learn, taught):
    (taught() / runs.COMPARISON).write_text("damaged")
    assert "What it forgot cannot be told" in said(learn.run())


def test_without_any_model_the_page_says_so(learn, tmp_path, monkeypatch):
    monkeypatch.setattr("digit_core.model_store.STARTERS", tmp_path)
    assert "no model that could learn" in said(learn.run())


def test_a_default_model_that_was_taken_away_is_in_nobodys_way(learn, taught):
    taught()
    press(learn.run(), "Accept")
    (model_folder("taught", read_settings()) / "metadata.json").unlink()
    assert not learn.run().exception


def test_the_pace_of_trainings_is_not_taken_from_how_many_images_a_lesson_would_have_in_all(taught):
    config = runs.load_run(taught().name, read_settings()).config
    assert estimate_seconds(config) < estimate_seconds(replace(config, base_model_id=None))


def test_what_is_kept_is_not_counted_among_what_has_to_be_drawn_for_a_training():
    settings = read_settings()
    config = TrainConfig(dataset="mnist+synthetic")
    before = forecast(config, settings)
    settings.data.mkdir()
    for name in (SYNTHETIC_FILE, BANK_FILE):
        (settings.data / name).touch()
    after = forecast(config, settings)
    assert before.images > after.images == 0 and before.bank > after.bank == 0
    assert after[1:3] == before[1:3] and after[4:] == before[4:]


def test_a_slow_machine_takes_longer_for_each_stage_of_a_run():
    config = TrainConfig(dataset="synthetic")
    fast, slow = (forecast(config, read_settings(), pace) for pace in (1.0, 3.0))
    assert [late / early for early, late in zip(fast, slow, strict=True)] == pytest.approx([3.0] * 6)
