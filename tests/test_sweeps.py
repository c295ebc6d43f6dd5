"""Sweeps: what is tried, which runs come of it, which of them go on, and which is best."""

import dataclasses
import json
import re
import signal
import time

import pytest
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from digit_core import cli_sweep, runs, sweeps, worker
from digit_core.cli import main
from digit_core.diary import append_event, read_events
from digit_core.errors import InvalidConfig, ModelUnavailable, StorageFailed, TrainingUnavailable
from digit_core.model_store import to_json
from digit_core.ray_cluster import lags_by_asha
from digit_core.sweeps import MOST_RUNS, Range, lags_by_median, plan_sweep, read_values, start_sweep
from digit_core.types import TrainConfig, TrainEvent

BASE = TrainConfig("ann", dataset="synthetic", hidden_units=(32,), epochs=8)
RATES = {"learning_rate": (1e-3, 4e-3)}


@pytest.mark.parametrize(
    ("setting", "text", "values"),
    [
        ("learning_rate", "0.001, 4e-3", (0.001, 0.004)),
        ("learning_rate", "0.001..0.01", Range(0.001, 0.01)),
        ("epochs", "2;3", (2, 3)),
        ("epochs", "2..9", Range(2, 9)),
        ("hidden_units", "256; 512, 256", ((256,), (512, 256))),
        ("batch_norm", "yes, no", (True, False)),
        ("optimizer", "adam,sgd", ("adam", "sgd")),
        ("dropout", "0.1, 0.1", (0.1,)),
    ],
)
def test_what_a_setting_is_to_be_is_read(setting, text, values):
    assert read_values(setting, text) == values


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        *[("learning_rate", text) for text in ("", "many", "0.1..", "0..0.1", "0.2..0.1", "1..1", "0,1 0,2")],
        ("epochs", "1.5"),
        ("epochs", "1..inf"),
        ("epochs", "0.1..2"),
        ("batch_norm", "perhaps"),
        ("hidden_units", "wide; narrow"),
        ("hidden_units", "1..2"),
    ],
)
def test_what_a_setting_cannot_be_is_told_with_an_example(setting, text):
    with pytest.raises(InvalidConfig, match="Write it like"):
        read_values(setting, text)


@pytest.mark.parametrize("setting", ["depth", "teacher_id", "dataset", "validation_fraction", ""])
def test_what_is_no_setting_to_vary_is_told(setting):
    with pytest.raises(InvalidConfig, match=r"no setting .* to vary\. Choose one of architecture"):
        read_values(setting, "1")


@given(st.sampled_from(sweeps.VARIABLE), st.text(max_size=40))
def test_whatever_is_typed_is_read_or_told(setting, text):
    try:
        assert read_values(setting, text)
    except InvalidConfig as error:
        assert str(error).endswith(".")


def test_a_grid_holds_every_combination_once(settings):
    configs = plan_sweep(BASE, RATES | {"dropout": (0.0, 0.1, 0.2)}, settings)
    assert len(set(configs)) == 6
    assert {(config.learning_rate, config.dropout) for config in configs} == {
        (rate, dropout) for rate in (1e-3, 4e-3) for dropout in (0.0, 0.1, 0.2)
    }
    assert {dataclasses.replace(config, learning_rate=1.0, dropout=0.0) for config in configs} == {
        dataclasses.replace(BASE, learning_rate=1.0, dropout=0.0)
    }


def test_a_sample_is_drawn_by_chance_the_same_for_the_same_seed(settings):
    varied = {"learning_rate": Range(1e-4, 1e-1), "dropout": Range(0.0, 0.5), "epochs": Range(1, 9)}
    configs = plan_sweep(BASE, varied, settings, 10)
    assert len(set(configs)) == 10 and configs == plan_sweep(BASE, varied, settings, 10)
    assert configs != plan_sweep(BASE, varied, settings, 10, seed=1)
    assert all(1e-4 <= config.learning_rate <= 1e-1 and 0 <= config.dropout <= 0.5 for config in configs)
    assert all(isinstance(config.epochs, int) for config in configs)
    assert 2 <= sum(config.learning_rate < 3e-3 for config in configs) <= 8  # each tenfold is as likely


def test_a_sample_of_more_than_there_is_is_all_of_it(settings):
    assert len(plan_sweep(BASE, RATES, settings, 10)) == 2


def test_a_part_of_a_grid_is_drawn(settings):
    configs = plan_sweep(BASE, {"epochs": tuple(range(1, 100))}, settings, 5)
    assert len(set(configs)) == 5


@pytest.mark.parametrize(
    ("varied", "sample", "sentence"),
    [
        ({}, 0, "Nothing differs between the runs"),
        ({"epochs": tuple(range(1, MOST_RUNS + 2))}, 0, r"These values make 25 runs, at most 24 are a sweep"),
        ({"dropout": Range(0.0, 0.5)}, 0, "Of dropout a range is given. Say how many runs"),
        ({"dropout": Range(0.0, 0.5)}, MOST_RUNS + 1, "The number of runs is 25"),
        ({"dropout": (0.1, 1.5)}, 0, "The dropout is 1.5"),
        ({"dropout": (0.1,)}, 0, "That is a single run"),
    ],
)
def test_what_no_sweep_can_be_is_told(varied, sample, sentence, settings):
    with pytest.raises(Exception, match=sentence):
        plan_sweep(BASE, varied, settings, sample)


def test_a_sweep_is_a_file_and_runs_with_its_name(settings, quiet):
    configs = plan_sweep(BASE, RATES, settings)
    sweep = start_sweep(configs, settings, "Rates", owner="me", prune=True, time_s=60.0)
    assert (sweep.sweep_id, sweep.run_ids, sweep.varied) == ("rates", ("rates-1", "rates-2"), ("learning_rate",))
    assert quiet == list(sweep.run_ids)
    assert sweeps.load_sweep("rates", settings) == sweep
    assert [(run.config, run.owner, run.sweep) for run in reversed(runs.list_runs(settings))] == [
        (config, "me", "rates") for config in configs
    ]
    assert start_sweep(configs, settings, "Rates").sweep_id == "rates-3"  # rates-2 is a run


def test_a_visitor_does_not_fill_the_queue_with_sweeps(settings, quiet):
    configs = [dataclasses.replace(BASE, seed=number) for number in range(MOST_RUNS)]
    start_sweep(configs, settings, "s", owner="me")
    with pytest.raises(TrainingUnavailable, match="24 runs wait or train already, 24 of them yours"):
        start_sweep(configs, settings, "s", owner="me")
    assert len(sweeps.list_sweeps(settings)) == 1


def test_a_sweep_that_nobody_in_particular_wants_is_a_visitor_of_its_own(settings, quiet):
    start_sweep(plan_sweep(BASE, RATES, settings), settings, "s")
    assert {run.owner for run in runs.list_runs(settings)} == {"sweep s"}


@pytest.mark.parametrize("name", ["", "日本語", "-", "\0"])
def test_a_sweep_without_a_name_is_called_by_the_time(name, settings, quiet):
    sweep = start_sweep(plan_sweep(BASE, RATES, settings), settings, name)
    assert re.fullmatch(r"sweep-\d{8}-\d{6}", sweep.sweep_id)


def test_the_name_of_a_deleted_run_that_can_be_brought_back_is_not_taken(settings, quiet):
    start_sweep(plan_sweep(BASE, RATES, settings), settings, "rates")
    for run_id in ("rates-1", "rates-2"):
        append_event(settings.models / run_id, TrainEvent("stopped", time.time()))
        runs.delete_run(run_id, settings)
    assert start_sweep(plan_sweep(BASE, RATES, settings), settings, "rates").sweep_id == "rates-3"
    runs.restore_run("rates-1", settings)


def test_a_full_disk_leaves_the_name_free(settings, quiet, monkeypatch):
    def full(path, content):
        raise StorageFailed("The disk is full.")

    with monkeypatch.context() as patched, pytest.raises(StorageFailed):
        patched.setattr(sweeps, "write_file", full)
        start_sweep(plan_sweep(BASE, RATES, settings), settings, "s")
    assert start_sweep(plan_sweep(BASE, RATES, settings), settings, "s").sweep_id == "s"


def test_a_sweep_of_which_no_run_is_left_is_told(settings, quiet):
    sweep = start_sweep(plan_sweep(BASE, RATES, settings), settings, "s")
    for run_id in sweep.run_ids:
        runs.discard(run_id, settings)
    done = command("--show", "s")
    assert done.exit_code == 1 and "None of the runs of sweep s is left" in done.output


def test_a_date_without_a_zone_is_read(settings, quiet):
    for name in ("one", "two"):
        start_sweep(plan_sweep(BASE, RATES, settings), settings, name)
    path = settings.models / ".sweeps" / "one.json"
    path.write_text(path.read_text().replace("+00:00", ""))
    assert len(sweeps.list_sweeps(settings)) == 2


def test_sweeps_are_listed_the_newest_first_while_a_run_is_left(settings, quiet):
    for name in ("one", "two"):
        start_sweep(plan_sweep(BASE, RATES, settings), settings, name)
    assert [sweep.sweep_id for sweep in sweeps.list_sweeps(settings)] == ["two", "one"]
    for number in (1, 2):
        append_event(settings.models / f"two-{number}", TrainEvent("stopped", time.time()))
        runs.delete_run(f"two-{number}", settings)
    assert [sweep.sweep_id for sweep in sweeps.list_sweeps(settings)] == ["one"]


@pytest.mark.parametrize("problem", [TrainingUnavailable("No more."), KeyboardInterrupt()])
def test_a_sweep_that_cannot_be_started_leaves_nothing(problem, settings, monkeypatch):
    def refuse(run_id, settings):
        if run_id.endswith("2"):
            raise problem

    monkeypatch.setattr(runs, "_start_process", refuse)
    with pytest.raises(type(problem)):
        start_sweep(plan_sweep(BASE, RATES, settings), settings)
    assert runs.list_runs(settings) == [] and sweeps.list_sweeps(settings) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"run_ids": 1}',
        b"\xff",
        b'{"run_ids": ["../x"], "varied": [], "time_s": 0}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_sweep_is_told(content, settings):
    (settings.models / ".sweeps").mkdir(parents=True)
    (settings.models / ".sweeps" / "odd.json").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="no sweep 'odd', or its file cannot be read"):
        sweeps.load_sweep("odd", settings)
    assert sweeps.list_sweeps(settings) == []


@pytest.mark.parametrize("sweep_id", ["", "../x", "gone"])
def test_an_unknown_sweep_is_told(sweep_id, settings):
    with pytest.raises(ModelUnavailable, match="no sweep"):
        sweeps.load_sweep(sweep_id, settings)


@pytest.fixture
def tell(settings, quiet):
    """A sweep of so many runs, and a way to let one of them tell its validation accuracies, and perhaps its end."""

    def start(count, **more):
        configs = [dataclasses.replace(BASE, seed=number) for number in range(count)]
        sweep = start_sweep(configs, settings, "s", **more)

        def told(number, *accuracies, end=""):
            folder = settings.models / sweep.run_ids[number - 1]
            append_event(folder, TrainEvent("started", time.time()))
            for epoch, accuracy in enumerate(accuracies, 1):
                metrics = {"val_accuracy": accuracy}
                append_event(folder, TrainEvent("epoch", time.time(), epoch, 9, 9, metrics, elapsed_s=float(epoch)))
            if end:
                append_event(folder, TrainEvent(end, time.time(), metrics={}))

        return sweep, told

    return start


def test_runs_are_compared_by_the_validation_images_they_read_rightly(settings, tell):
    sweep, told = tell(3)
    told(1, 0.5, 0.8, end="finished")
    told(2, 0.9, end="stopped")
    trials = sweeps.compare_trials(sweep, settings)
    assert [(trial.run.run_id, trial.right, trial.epochs) for trial in trials] == [
        ("s-2", (2500, 2250), 1),
        ("s-1", (2500, 2000), 2),
        ("s-3", None, 0),
    ]
    assert trials[0].values == {"seed": 1}
    assert sweeps.find_best(trials).run.run_id == "s-1"  # s-2 made no model


def test_without_a_model_there_is_no_best_one(settings, tell):
    sweep, told = tell(1)
    told(1, 0.9, end="failed")
    assert sweeps.find_best(sweeps.compare_trials(sweep, settings)) is None


def test_a_sweep_is_stopped_where_it_is_under_way(settings, tell):
    sweep, told = tell(2)
    told(1, 0.9, end="finished")
    sweeps.stop_sweep(sweep, settings)
    assert [runs.is_stopping(run_id, settings) for run_id in sweep.run_ids] == [False, True]


@pytest.mark.parametrize(
    ("own", "others", "lags"),
    [
        ([0.5], [[0.6], [0.7], [0.8]], True),
        ([0.75], [[0.6], [0.7], [0.8]], False),
        ([0.9, 0.1], [[0.6, 0.6]] * 3, False),  # its best counts
        ([0.5], [[0.6], [0.7]], False),  # too few to tell
        ([0.5, 0.5], [[0.6], [0.7], [0.8]], False),  # none has come as far
        ([0.5, 0.62], [[0.6, 0.7, 0.99]] * 3, True),
        ([0.5, 0.66], [[0.6, 0.7, 0.1]] * 3, False),  # what came later does not count
        ([], [[0.6]] * 3, False),
    ],
)
def test_the_median_rule(own, others, lags):
    assert lags_by_median(own, others) is lags


def test_asha_keeps_the_best_third_at_each_rung():
    told = [(f"r{number}", 2, accuracy) for number, accuracy in enumerate([0.5, 0.6, 0.7, 0.8])]
    assert not any(lags_by_asha(told, run_id, 2, 8, 2) for run_id in ("r0", "r3"))  # whoever came first goes on
    assert lags_by_asha([*told, ("late", 2, 0.4)], "late", 2, 8, 2)
    assert not lags_by_asha([*told, ("late", 2, 0.9)], "late", 2, 8, 2)
    assert not lags_by_asha([*told, ("late", 1, 0.1)], "late", 1, 8, 2)  # before its first rung
    assert not lags_by_asha(told, "unknown", 2, 8, 2)


@pytest.mark.parametrize("epochs", [8, 10])
@pytest.mark.parametrize("address", [None, "http://head:8265"])
def test_a_run_that_lags_stops_itself_and_tells_why(address, epochs, settings, tell):
    settings = dataclasses.replace(settings, ray_address=address)
    _, told = tell(5, prune=True)
    grace = 2 if epochs == 8 else 3
    for number in (1, 2, 3, 4):
        told(number, 0.8, 0.9, 0.9, end="finished")
    told(5, *[0.3, 0.4, 0.5][:grace])
    run = runs.load_run("s-5", settings)
    watch = sweeps.watch_trial(dataclasses.replace(run, config=dataclasses.replace(BASE, epochs=epochs)), settings)
    watch(TrainEvent("epoch", time.time(), grace - 1))
    assert not runs.is_stopping("s-5", settings)
    watch(TrainEvent("epoch", time.time(), grace))
    assert f"After epoch {grace} its validation accuracy lagged" in runs.read_reason(settings.models / "s-5")


def test_a_run_that_keeps_up_or_is_not_judged_goes_on(settings, tell):
    _, told = tell(5, prune=True)
    for number in (1, 2, 3, 4):
        told(number, 0.8, 0.9, end="finished")
    told(5, 0.3, 0.95)
    sweeps.watch_trial(runs.load_run("s-5", settings), settings)(TrainEvent("epoch", time.time(), 2))
    assert not runs.is_stopping("s-5", settings)


def test_who_resumes_a_run_that_lagged_gets_it_to_its_end(settings, tell):
    _, told = tell(5, prune=True)
    for number in (1, 2, 3, 4):
        told(number, 0.8, 0.9, end="finished")
    told(5, 0.3, 0.4, end="stopped")
    runs.resume_run("s-5", settings)
    sweeps.watch_trial(runs.load_run("s-5", settings), settings)(TrainEvent("epoch", time.time(), 3))
    assert not runs.is_stopping("s-5", settings)


def test_the_time_of_a_sweep_holds_for_its_first_run_too(settings, quiet, bank, monkeypatch):
    start_sweep([BASE], settings, "s", time_s=0.01)

    def train(config, dataset, tell, *rest):
        time.sleep(0.1)
        tell(TrainEvent("batch", time.time(), 1, 1, 9))

    monkeypatch.setattr(worker, "train", train)
    assert worker.execute_run("s-1", settings, lambda event: None) is None
    assert read_events(settings.models / "s-1")[-1].message == "The time of its sweep is over."


def test_what_is_not_pruned_goes_on_however_far_behind(settings, tell):
    _, told = tell(5)
    for number in (1, 2, 3, 4):
        told(number, 0.8, 0.9, end="finished")
    told(5, 0.3, 0.4)
    sweeps.watch_trial(runs.load_run("s-5", settings), settings)(TrainEvent("epoch", time.time(), 2))
    assert not runs.is_stopping("s-5", settings)


def test_when_the_time_is_over_what_trains_and_what_waits_stops(settings, tell, monkeypatch):
    _, told = tell(2, time_s=5.0)
    told(1, 0.3)
    watch = sweeps.watch_trial(runs.load_run("s-1", settings), settings)
    watch(TrainEvent("batch", time.time(), 1, 1, 9))
    assert not runs.is_stopping("s-1", settings)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 6)
    watch(TrainEvent("batch", now, 1, 1, 9))
    assert runs.read_reason(settings.models / "s-1") == "The time of its sweep is over."
    with FileLock(settings.models / "s-1" / "run.lock"):
        assert worker.execute_run("s-2", settings, lambda event: None) is None
    assert read_events(settings.models / "s-2")[-1].message == "The time of its sweep was over before its turn came."


@pytest.mark.parametrize("time_s", [-1.0, float("nan"), 1e9])
def test_a_time_that_is_none_is_told(time_s, settings):
    with pytest.raises(InvalidConfig, match="Choose at most"):
        start_sweep([BASE], settings, time_s=time_s)


def command(*words):
    return CliRunner().invoke(main, ["sweep", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Say in what the runs differ"),
        (["--try", "depth", "3"], "no setting 'depth'"),
        (["--try", "epochs", "1", "--try", "epochs", "2"], "given twice"),
        (["--show", "s", "--try", "epochs", "1"], "Leave --try out"),
        (["--show", "gone"], "no sweep 'gone'"),
        (["--try", "dropout", "0..0.5"], "Say how many runs"),
        (["--try", "epochs", "1", "--sample", "99"], "99"),
    ],
)
def test_a_command_that_is_no_sweep_is_told(words, sentence):
    done = command("--dataset", "synthetic", *words)
    assert done.exit_code != 0 and sentence in done.output


@pytest.fixture
def finishing(settings, monkeypatch):
    """Runs that are over as soon as they are started, the later the better."""

    def finish(run_id, settings):
        folder = settings.models / run_id
        metrics = {"val_accuracy": 0.9 + int(run_id[-1]) / 100}
        append_event(folder, TrainEvent("started", time.time()))
        append_event(folder, TrainEvent("epoch", time.time(), 1, 9, 9, metrics, 3.0))
        append_event(folder, TrainEvent("finished", time.time(), 1))

    monkeypatch.setattr(runs, "_start_process", finish)


def test_the_command_tells_what_comes_of_each_run_and_names_the_best(finishing):
    words = ["--architecture", "ann", "--dataset", "synthetic", "--name", "s", "--try", "dropout", "0,0.1"]
    done = command(*words)
    assert done.exit_code == 0, done.output
    assert "Best: s-2, 92.00 % of 2,500 validation images right (95 % interval 90.87 to 93.00 %)" in done.output
    shown = command("--show", "s")
    assert "s-1" in shown.output and "dropout 0.1" in shown.output and "Best: s-2" in shown.output


def test_the_command_tells_programs_too(finishing):
    done = command("--dataset", "synthetic", "--name", "s", "--try", "dropout", "0,0.1", "--json")
    *changes, results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {change["run_id"] for change in changes} == {"s-1", "s-2"}
    assert results["best"] == "s-2" and [run["values"] for run in results["runs"]] == [{"dropout": 0.1}, {"dropout": 0}]


def test_a_sweep_without_a_model_fails(settings, monkeypatch):
    def fail(run_id, settings):
        append_event(settings.models / run_id, TrainEvent("failed", time.time(), message="No."))

    monkeypatch.setattr(runs, "_start_process", fail)
    done = command("--dataset", "synthetic", "--name", "s", "--try", "dropout", "0,0.1")
    assert done.exit_code == 1 and "None of the runs made a model" in done.output
    assert "s-1  failed  No." in done.output


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_all_of_a_sweep(signal_, settings, quiet, monkeypatch):
    def interrupt(seconds):
        signal.raise_signal(signal_)

    monkeypatch.setattr(cli_sweep.time, "sleep", interrupt)
    assert command("--dataset", "synthetic", "--name", "s", "--try", "dropout", "0,0.1").exit_code == 1
    assert all(runs.is_stopping(run_id, settings) for run_id in ("s-1", "s-2"))


def test_a_sweep_survives_a_run_whose_settings_were_damaged(settings, tell):
    sweep, told = tell(2)
    told(1, 0.9, end="finished")
    (settings.models / "s-2" / "config.json").write_bytes(to_json({"epochs": "many"}))
    assert [trial.run.run_id for trial in sweeps.compare_trials(sweep, settings)] == ["s-1"]
