"""The guide, which shows a document of the folder docs."""

import re
import shutil

import pytest
from apptest import open_app, said

from digit_core.settings import ROOT


def test_the_guide_is_the_learners_document_with_its_pictures_and_no_link_that_leads_nowhere():
    guide = open_app().switch_page("guide.py").run()
    assert not guide.exception and not guide.error
    assert guide.title[0].value == "How it reads a digit"
    written = "\n".join(part.value for part in guide.markdown)
    text = (ROOT / "docs" / "how_it_reads.md").read_text(encoding="utf-8")
    assert re.findall("(?m)^## (.*)$", written) == re.findall("(?m)^## (.*)$", text)
    assert len(guide.get("image")) == text.count("![") > 0
    assert "](" not in written and "the notebook *explore*" in written


@pytest.mark.parametrize("word", ["Epoch", "Batch", "nats", "Calibration error", "Dropout", "Stress drawings", "CNN"])
def test_the_guide_explains_the_words_of_the_other_pages(word):
    guide = open_app().switch_page("guide.py").run()
    assert word in guide.markdown[-1].value


@pytest.mark.parametrize("kept", [(), ("how_it_reads.md",), ("how_it_reads.md", "steps.png")])
def test_where_its_document_or_a_picture_is_missing_the_guide_says_what_to_do(monkeypatch, tmp_path, kept):
    (tmp_path / "docs").mkdir()
    for name in kept:
        shutil.copy(ROOT / "docs" / name, tmp_path / "docs")
    monkeypatch.setattr("digit_core.settings.ROOT", tmp_path)
    assert "Restore the folder docs" in said(open_app().switch_page("guide.py").run())
