import csv
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from digit_core import cli
from digit_core.cli import main
from digit_core.cli_data import FETCHED
from digit_core.presets import CONFIGS, RECIPES
from digit_core.settings import ROOT
from digit_core.strokes import sketch

NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_in_shell(words):
    command = f"{sys.executable} -m digit_core {words}"
    return subprocess.run(command, shell=True, cwd=ROOT, check=False, capture_output=True, text=True)


@pytest.fixture
def seven(tmp_path, handwriting):
    path = tmp_path / "seven.png"
    cv2.imwrite(str(path), 255 - sketch([stroke * 200 + 40 for stroke in handwriting[7]], 16))
    return path


@pytest.fixture
def drawings(tmp_path, handwriting):
    """A nought, a seven, a drawing that cannot be read, an empty one, one without a label."""
    path = tmp_path / "drawings.jsonl"
    strokes = {digit: [stroke.tolist() for stroke in handwriting[digit]] for digit in (0, 7, 3)}
    entries = [(0, strokes[0]), (7, strokes[7]), (5, "nonsense"), (5, []), (None, strokes[3])]
    path.write_text("\n".join(json.dumps({"label": label, "strokes": drawn}) for label, drawn in entries))
    return path


def test_a_picture_is_read(seven):
    result = run("predict", seven)
    assert result.exit_code == 0
    assert f"{seven}: 7 (" in result.output


def test_json_holds_what_the_api_will_say(seven):
    answer = json.loads(run("predict", seven, "--json", "--model", "ann").output)
    assert (answer["digit"], answer["model"], len(answer["probabilities"])) == (7, "ann", 10)
    assert {"confidence", "is_digit", "digit_score", "answer_set", "elapsed_ms"} < set(answer)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_read(seven, tmp_path):
    result = run("predict", tmp_path / "none.png", seven)
    assert result.exit_code == 1
    assert f"{seven}: 7 (" in result.stdout
    assert "none.png: The file cannot be opened" in result.stderr


def test_an_unknown_model_is_a_sentence_and_exit_code_1(seven):
    result = run("predict", seven, "--model", "nobody")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: There is no model 'nobody'")


@pytest.mark.parametrize(
    "arguments", [["predict"], ["train", "--epochs", "many"], ["train", "--filters", "a,b"], ["fly"]]
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert run(*arguments).exit_code == 2


def test_a_setting_outside_its_range_is_exit_code_1():
    result = run("train", "--epochs", 0)
    assert result.exit_code == 1
    assert "The number of epochs is 0. Choose a value from 1 to 1000." in result.stderr


def test_what_cannot_be_read_counts_as_wrong_and_fails_nothing_else(drawings, tmp_path):
    table = tmp_path / "out.csv"
    result = run("evaluate", "--data", drawings, "--predictions", table, "--json")
    report = json.loads(result.output)
    assert (report["model"], report["n"], report["accuracy"]) == ("cnn", 4, 0.5)
    assert np.sum(report["confusion_matrix"]) == 2
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert list(rows[0]) == ["index", "label", "digit", "confidence", "digit_score", "is_digit"]
    assert [row["digit"] for row in rows] == ["0", "7", "", "", "3"]
    assert [row["label"] for row in rows] == ["0", "7", "5", "5", ""]
    assert [row["is_digit"] for row in rows] == ["True", "True", "", "", "True"]
    assert all(0.5 <= float(row["digit_score"]) <= 1 for row in rows if row["digit"])


def test_what_is_no_digit_is_told(tmp_path):
    hash_sign = [[[30, 0], [20, 100]], [[70, 0], [60, 100]], [[0, 35], [100, 35]], [[0, 65], [100, 65]]]
    path, table, picture = (tmp_path / name for name in ("signs.jsonl", "out.csv", "sign.png"))
    path.write_text("\n".join(json.dumps({"label": label, "strokes": hash_sign}) for label in (None, 1)))
    assert run("evaluate", "--data", path, "--predictions", table).exit_code == 0
    for row in csv.DictReader(table.read_text().splitlines()):
        assert row["is_digit"] == "False" and float(row["digit_score"]) < 0.5 and row["digit"]
    cv2.imwrite(str(picture), 255 - sketch([np.array(stroke) + 50.0 for stroke in hash_sign], 12, 200))
    assert "does not look like a digit" in run("predict", picture).output


def test_mnist_is_evaluated_as_it_is(mnist):
    report = json.loads(run("evaluate", "--data", "mnist", "--json", "--model", "cnn").output)
    assert report["n"] == len(mnist.y_test)
    assert report["accuracy"] >= 0.993


def test_data_without_a_readable_drawing_is_told(tmp_path):
    path = tmp_path / "drawings.jsonl"
    path.write_text('{"label": 1, "strokes": []}')
    result = run("evaluate", "--data", path)
    assert (result.exit_code, "could be read" in result.stderr) == (1, True)


def test_an_output_that_cannot_be_written_is_told(drawings, tmp_path):
    result = run("evaluate", "--data", drawings, "--predictions", tmp_path / "no" / "out.csv")
    assert (result.exit_code, "There is no folder for" in result.stderr, result.stdout) == (2, True, "")


@pytest.mark.skipif(os.name == "nt", reason="Windows says it in words of its own.")
@pytest.mark.parametrize("arguments", [["evaluate", "--data", "a" * 300], ["feedback", "import", "a" * 300]])
def test_a_name_that_cannot_be_one_is_told(arguments):
    result = run(*arguments)
    assert (result.exit_code, "File name too long. Check its name" in result.stderr) == (1, True)


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has names that are no text.")
def test_a_file_whose_name_is_no_text_is_read(seven):
    strange = seven.rename(os.fsdecode(os.fsencode(seven.parent) + b"/s\xff.png"))
    command = [sys.executable, "-m", "digit_core", "predict", os.fsencode(strange)]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True)
    assert (done.returncode, b": 7 (" in done.stdout) == (0, True)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no /dev/null.")
def test_a_device_is_written_to_and_stays_one(drawings, tmp_path):
    link = tmp_path / "nothing"
    link.symlink_to("/dev/null")
    assert run("evaluate", "--data", drawings, "--predictions", link).exit_code == 0
    assert link.is_symlink() and not link.is_file()


@NEEDS_FULL
@pytest.mark.parametrize("command", ["models list", "models list --json", "feedback stats", "--help"])
def test_output_that_cannot_be_written_is_told(command):
    done = run_in_shell(f"{command} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "Error: The output could not be written: No space left on device. Send it elsewhere.\n"


@NEEDS_FULL
def test_a_device_that_is_full_is_told(drawings):
    result = run("evaluate", "--data", drawings, "--predictions", "/dev/full")
    assert (result.exit_code, "could not be written" in result.stderr) == (1, True)
    assert "right, loss" in result.stdout, "what was measured is told all the same"


def test_a_reader_that_goes_away_is_no_error():
    assert run_in_shell("models list --json | true").stderr == ""


def test_drawings_without_labels_cannot_be_measured(tmp_path, handwriting):
    path = tmp_path / "drawings.jsonl"
    path.write_text(json.dumps({"strokes": [stroke.tolist() for stroke in handwriting[3]]}))
    result = run("evaluate", "--data", path)
    assert (result.exit_code, "has a label" in result.stderr) == (1, True)


@pytest.mark.parametrize("beside", [("--id", "mine"), ("--epochs", 9), ("--preset", "best"), ("--no-augment",)])
def test_a_run_that_is_resumed_keeps_its_id_and_its_settings(beside):
    result = run("train", "--resume", "other", *beside)
    assert result.exit_code == 2
    assert "Leave --id and settings out" in result.stderr


def test_a_preset_is_taken_but_for_what_is_given_beside_it(monkeypatch):
    created = []
    monkeypatch.setattr(cli.runs, "create_run", lambda config, *rest: created.append(config) or "mine")
    monkeypatch.setattr(cli, "execute_run", lambda *rest: None)
    run("train", "--architecture", "ann", "--preset", "quick-look", "--dataset", "synthetic", "--epochs", 7)
    assert created == [dataclasses.replace(CONFIGS["ann", "quick-look"], dataset="synthetic", epochs=7)]


def test_a_recipe_needs_the_strokes_it_was_made_with(monkeypatch):
    monkeypatch.delenv("DIGIT_LAB_PEN_DIGITS", raising=False)
    result = run("train", "--recipe", "best-cnn")
    assert result.exit_code == 1
    assert "data fetch pen-digits" in result.stderr


def test_a_recipe_is_taken_but_for_what_is_given_beside_it(monkeypatch):
    created = []
    monkeypatch.setattr(cli.runs, "create_run", lambda config, *rest: created.append(config) or "mine")
    monkeypatch.setattr(cli, "execute_run", lambda *rest: None)
    monkeypatch.setattr(cli, "check_dataset", lambda *rest: None)
    run("train", "--recipe", "best-ann", "--seed", 2)
    assert created == [dataclasses.replace(RECIPES["best-ann"], seed=2)]


def test_a_recipe_is_of_one_kind_of_network():
    result = run("train", "--recipe", "best-cnn", "--architecture", "ann")
    assert result.exit_code == 2
    assert "best-cnn is no recipe of an ANN" in result.stderr


def test_a_recipe_and_a_preset_are_not_mixed():
    result = run("train", "--recipe", "best-cnn", "--preset", "best")
    assert result.exit_code == 2
    assert "Leave one out" in result.stderr


def test_an_unknown_data_set_is_told_before_anything_is_made():
    result = run("train", "--dataset", "cifar")
    assert result.exit_code == 1
    assert "no data set 'cifar'" in result.stderr


def test_a_run_that_is_not_there_is_not_resumed():
    result = run("train", "--resume", "nobody")
    assert result.exit_code == 1
    assert "no run 'nobody'" in result.stderr


def test_the_data_sets_are_listed(monkeypatch, tmp_path):
    (tmp_path / "strokes.jsonl").write_text("")
    monkeypatch.setenv("DIGIT_LAB_PEN_DIGITS", str(tmp_path / "strokes.jsonl"))
    monkeypatch.setenv("DIGIT_LAB_MNIST", str(tmp_path / "none.npz"))
    found = {"mnist": None, "pen-digits": str(tmp_path / "strokes.jsonl")}
    assert json.loads(run("data", "list", "--json").stdout) == found
    assert "data fetch mnist" in run("data", "list").stdout


def test_a_data_set_is_fetched(monkeypatch, tmp_path):
    def download(settings, on_progress):
        on_progress(0.5)
        return tmp_path / "mnist.npz"

    other = "mine.npz is. Take that file"
    for file, warning in (("mnist.npz", ""), ("mine.npz", other)):
        monkeypatch.setitem(FETCHED, "mnist", (lambda settings, file=file: tmp_path / file, download))
        result = run("data", "fetch", "mnist")
        assert (result.exit_code, result.stdout.strip()) == (0, str(tmp_path / "mnist.npz"))
        assert warning in result.stderr
    assert run("data", "fetch", "cifar").exit_code == 2


@pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["evaluate"], ["models"], ["models", "list"]])
def test_every_command_has_help(command):
    result = run(*command, "--help")
    assert (result.exit_code, result.output.startswith("Usage:")) == (0, True)
