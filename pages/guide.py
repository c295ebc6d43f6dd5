"""How it reads a digit, and what the words mean: the learners' document, in the app."""

import re

import streamlit as st

from digit_core.errors import DataUnavailable
from digit_core.settings import ROOT
from pages._shared import told_errors

DOCS = ROOT / "docs"
PICTURE = re.compile(r"!\[(.+?)\]\((.+?)\)")
NOTEBOOK = re.compile(r"\[(\w+)\]\(\.\./notebooks/\w+\.ipynb\)")  # a server serves none
WIDTH = 720  # pixels: lines that are read in one go


def show_document(text: str) -> None:
    """Show Markdown with its pictures, which lie beside it."""
    parts = PICTURE.split(NOTEBOOK.sub(r"the notebook *\1*", text))
    for words, alt, name in zip(parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True):
        st.markdown(words, anchors=False)
        if name:
            st.image((DOCS / name).read_bytes(), alt=alt)


with st.container(width=WIDTH), told_errors():
    try:
        title, text = (DOCS / "how_it_reads.md").read_text(encoding="utf-8").split("\n", 1)
        st.title(title.removeprefix("# "))
        show_document(text)
    except OSError:
        raise DataUnavailable("The guide is not whole. Restore the folder docs of Digit Lab.") from None
