"""The notebooks hold what came of them, and run from top to bottom on what the program draws itself."""

import nbformat
import pytest
from nbclient import NotebookClient

from digit_core.settings import ROOT

NOTEBOOKS = pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
LARGEST = 500_000  # bytes


@NOTEBOOKS
def test_a_notebook_was_run_from_top_to_bottom_and_is_small(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert {"stream", "execute_result"} == {output.output_type for output in outputs}
    assert path.stat().st_size < LARGEST


@pytest.mark.slow
@pytest.mark.usefixtures("bank")
@NOTEBOOKS
def test_a_notebook_runs(path, monkeypatch):
    for variable in ("DIGIT_LAB_MNIST", "DIGIT_LAB_PEN_DIGITS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600).execute()  # what a notebook claims, it asserts
