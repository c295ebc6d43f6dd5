"""The environment, read as settings."""

import subprocess
import sys

import pytest

from digit_core.errors import InvalidConfig
from digit_core.settings import ROOT, read_settings, to_environ

PASSWORD = "DIGIT_LAB_ADMIN_PASSWORD"


@pytest.mark.parametrize("environ", [{}, {PASSWORD: ""}, {PASSWORD: " \t\n"}])
def test_a_password_of_nothing_is_none(environ):
    assert read_settings(environ).admin_password is None


def test_a_password_is_read_without_the_white_space_around_it():
    assert read_settings({PASSWORD: "open sesame\n"}).admin_password == "open sesame"


def test_settings_that_are_printed_do_not_tell_the_password():
    environ = {PASSWORD: "sesame", "DIGIT_LAB_DATABASE_URL": "postgresql://ada:sesame@host/name"}
    assert "sesame" not in repr(read_settings(environ))


def test_the_process_of_a_training_is_not_told_the_password():
    assert to_environ(read_settings({PASSWORD: "sesame"}))[PASSWORD] == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [("RATE_LIMIT", "often"), ("CORS_ORIGINS", "example.org"), ("PARALLEL_RUNS", "lots"), ("KEEP_UNJUDGED", "perhaps")],
)
def test_a_setting_that_cannot_be_is_told(name, value):
    with pytest.raises(InvalidConfig, match=f"DIGIT_LAB_{name} .*'{value}'"):
        read_settings({f"DIGIT_LAB_{name}": value})


def test_no_server_starts_with_such_a_setting_and_says_why(monkeypatch):
    monkeypatch.setenv("DIGIT_LAB_PARALLEL_RUNS", "lots")
    command = [sys.executable, "-c", "import streamlit_app"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Error: DIGIT_LAB_PARALLEL_RUNS is 'lots'. Set it to a number from 1 to 99."


def test_the_api_s_token_is_not_shown_with_the_settings():
    settings = read_settings({"DIGIT_LAB_API_TOKEN": " secret "})
    assert settings.api_token == "secret"
    assert "secret" not in repr(settings)
