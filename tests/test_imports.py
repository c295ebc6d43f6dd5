"""The rules of the house: imports run one way, and the server never loads TensorFlow."""

import ast
import subprocess
import sys

import pytest

from digit_core.settings import ROOT

ORDER = [
    {"types", "errors"},
    {"settings", "database", "password"},
    {"ray_cluster"},
    {"strokes", "sheets", "paper"},
    {"preprocessing", "pictures"},
    {"tables"},
    {"selection"},
    {"feedback_stats"},
    {"synthetic", "augmentation", "architectures", "evaluation", "photographs"},
    {"charts"},
    {"scribbles", "handwriting", "measuring", "model_charts", "training_charts"},
    {"model_store"},
    {"classifier", "arrays", "program"},
    {"feedback", "drawings", "downloads"},
    {"pen_digits", "feedback_export", "bank"},
    {"feedback_import"},
    {"datasets", "stress"},
    {"exams"},
    {"model_card"},
    {"model_archive"},
    {"training", "explain"},
    {"foreign", "digit_score"},
    {"presets"},
    {"diary"},
    {"runs"},
    {"model_import", "run_queue", "sweeps"},
    {"sweep_charts"},
    {"learning"},
    {"worker"},
    {"api_errors"},
    {"api_schemas", "api_gate"},
    {"api_input"},
    {"api_service"},
    {"api"},
    {"cli_door"},
    {"cli_feedback", "cli_models", "cli_data", "cli_reading", "cli_settings"},
    {"cli_sweep"},
    {"cli"},
    {"__main__"},
]
RANK = {module: rank for rank, modules in enumerate(ORDER) for module in modules}
FILES = sorted(path for path in (ROOT / "digit_core").glob("*.py") if path.stem != "__init__")


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_run_one_way(path):
    ours = {name.split(".")[1] for name in imported(path) if name.startswith("digit_core.")}
    assert {module for module in ours & set(RANK) if RANK[module] >= RANK[path.stem]} == set()


def test_only_three_modules_know_keras():
    knowing = {path.stem for path in FILES if {"keras", "tensorflow"} & {name.split(".")[0] for name in imported(path)}}
    assert knowing <= {"architectures", "training", "model_store"}


def test_no_page_imports_another():
    for path in (ROOT / "pages").glob("*.py"):
        assert {
            name for name in imported(path) if name.startswith("pages.") and not name.startswith("pages._")
        } == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_streamlit_is_nowhere_in_the_product(path):
    assert not any(name.split(".")[0] == "streamlit" for name in imported(path))


@pytest.mark.parametrize(
    "code",
    [
        "import digit_core.cli",
        "import digit_core.api",
        "import digit_core.runs, digit_core.charts, digit_core.feedback, digit_core.model_archive",
        "from digit_core.cli import main; main(['evaluate', '--data', DRAWINGS], standalone_mode=False)",
    ],
)
def test_reading_never_loads_tensorflow_or_streamlit(code, tmp_path):
    drawings = tmp_path / "drawings.jsonl"
    drawings.write_text('{"label": 1, "strokes": [[[0, 0], [0, 9]]]}')
    loaded = "import sys; print(sorted({'keras', 'tensorflow', 'streamlit'} & set(sys.modules)))"
    script = f"{code.replace('DRAWINGS', repr(str(drawings)))}\n{loaded}"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_server_asks_no_other_host_for_its_own_address():
    script = """
import socket
import streamlit_app
from streamlit.web import bootstrap
from streamlit.web.server.server_util import is_url_from_allowed_origins

asked = []
socket.getaddrinfo = lambda host, *more, **others: asked.append(host)
bootstrap.load_config_options({})
bootstrap._print_url(False)
assert not is_url_from_allowed_origins("https://elsewhere.example")
assert asked == [], asked
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True)
