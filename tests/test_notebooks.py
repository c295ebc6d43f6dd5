"""The notebooks run from top to bottom, on what the program draws itself."""

import nbformat
import pytest
from nbclient import NotebookClient

from digit_core.settings import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("bank")
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch):
    monkeypatch.delenv("DIGIT_LAB_MNIST", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600).execute()
    printed = [output.text for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert any("7, " in text and "% sure" in text for text in printed)
