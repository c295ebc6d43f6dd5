import hashlib
import json
import zipfile

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from digit_core.cli import main
from digit_core.model_store import STARTERS, load_default, save_default


def run(*arguments, answer=None):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=answer)


def complete(*words):
    *before, incomplete = words
    return [item.value for item in ShellComplete(main, {}, "digit-lab", "").get_completions([*before], incomplete)]


def test_the_models_are_listed_and_the_default_one_is_marked():
    listed = json.loads(run("models", "list", "--json").output)["models"]
    assert [(model["model_id"], model["default"]) for model in listed] == [("cnn", True), ("ann", False)]
    assert [line.endswith("(default)") for line in run("models", "list").output.splitlines()] == [True, False]


def test_what_is_known_of_a_model_is_shown_to_people_and_to_programs():
    shown = json.loads(run("models", "show", "ann", "--json").output)
    stored = json.loads((STARTERS / "ann" / "metadata.json").read_text())
    assert {name: shown[name] for name in stored if name != "config"} == {n: stored[n] for n in stored if n != "config"}
    assert shown["default"] is False
    words = run("models", "show", "ann").output
    size = f"{stored['size_bytes'] / 1e6:.2f} MB"
    right = f"{100 * stored['test_accuracy']:.2f} % right on the test images"
    made = stored["created_at"][:16].replace("T", " ")
    for figure in ("ANN", "1,467,914", size, f"{right} of mnist,", f"{made} UTC"):
        assert figure in words
    assert "hidden_units 1024, 512, 256" in words
    assert "filters" not in words


def test_a_model_that_is_not_there_cannot_be_shown():
    result = run("models", "show", "nobody")
    assert (result.exit_code, "There is no model 'nobody'" in result.stderr) == (1, True)


def test_an_archive_holds_the_files_that_the_metadata_tells_of(tmp_path):
    assert run("models", "export", "cnn", tmp_path / "cnn.zip").exit_code == 0
    with zipfile.ZipFile(tmp_path / "cnn.zip") as archive:
        digests = json.loads(archive.read("metadata.json"))["sha256"]
        assert sorted(archive.namelist()) == sorted([*digests, "config.json", "metadata.json"])
        for name, digest in digests.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest


@pytest.mark.parametrize("ending", ["keras", "tflite"])
def test_a_network_alone_is_exported_as_it_is_stored(tmp_path, ending):
    done = json.loads(run("models", "export", "cnn", tmp_path / f"out.{ending}", "--json").output)
    content = (tmp_path / f"out.{ending}").read_bytes()
    assert content == (STARTERS / "cnn" / f"model.{ending}").read_bytes()
    assert done["bytes"] == len(content)


def test_what_an_export_is_called_tells_what_it_holds(tmp_path):
    result = run("models", "export", "cnn", tmp_path / "cnn.onnx")
    assert (result.exit_code, "End it with .zip, .keras, .tflite" in result.stderr) == (2, True)


def test_a_damaged_model_is_not_exported(tmp_path, mine):
    (mine / "model.tflite").write_bytes(b"damaged")
    result = run("models", "export", "mine", tmp_path / "mine.zip")
    assert (result.exit_code, "was changed after training" in result.stderr) == (1, True)
    assert [*tmp_path.iterdir()] == []


def test_an_export_into_a_folder_that_is_not_there_is_told(tmp_path):
    result = run("models", "export", "cnn", tmp_path / "no" / "cnn.zip")
    assert (result.exit_code, "could not be written" in result.stderr) == (1, True)


def test_a_model_is_deleted_when_somebody_says_so_and_brought_back(mine):
    assert run("models", "delete", "mine", answer="n\n").exit_code == 1
    assert mine.exists()
    result = run("models", "delete", "mine", answer="y\n")
    assert (result.exit_code, mine.exists()) == (0, False)
    assert "models restore mine" in result.stdout
    assert run("models", "restore", "mine").exit_code == 0
    assert (mine / "metadata.json").exists()


def test_where_nobody_can_be_asked_nothing_is_deleted(mine):
    assert run("models", "delete", "mine").exit_code == 1
    assert mine.exists()


def test_the_model_that_read_before_reads_when_the_default_one_is_deleted(mine, settings):
    save_default("ann", settings)
    save_default("mine", settings)
    assert "ann reads now." in run("models", "delete", "mine", "--yes").stdout
    assert load_default(settings) == "ann"


@pytest.mark.parametrize(("model_id", "problem"), [("cnn", "is a starter model"), ("nobody", "There is no run")])
def test_a_starter_and_what_is_not_there_are_not_deleted(model_id, problem):
    result = run("models", "delete", model_id, "--yes")
    assert (result.exit_code, problem in result.stderr) == (1, True)


def test_what_was_not_deleted_cannot_be_brought_back(mine):
    result = run("models", "restore", "mine")
    assert (result.exit_code, "cannot be brought back" in result.stderr) == (1, True)


def test_a_shell_completes_ids_of_models(mine):
    assert complete("models", "show", "") == ["cnn", "ann", "mine"]
    assert complete("predict", "--model", "m") == complete("fine-tune", "--base", "m") == ["mine"]
    assert complete("models", "restore", "") == []
    run("models", "delete", "mine", "--yes")
    assert complete("models", "restore", "m") == ["mine"]


def test_a_shell_completes_nothing_where_the_settings_are_wrong(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_PARALLEL_RUNS", "many")
    assert complete("models", "show", "") == complete("models", "restore", "") == []


@pytest.mark.parametrize("command", ["list", "show", "default", "export", "import", "delete", "restore"])
def test_every_command_of_models_has_help_with_an_example(command):
    result = run("models", command, "--help")
    assert result.exit_code == 0
    assert f"Example: models {command}" in " ".join(result.output.split())
