"""What the documents name is there: files, headings, commands with their options, modules, settings."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from reference import PAGES

from digit_core.cli import main
from digit_core.settings import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), ROOT / "models" / "README.md", *NOTEBOOKS]
LINK = re.compile(r"(?:\]\(|<img src=\")(?!https?:)([^()\s\"]+)[)\"]")  # none that leads out: tests need no network
COMMAND = re.compile(r"(?<![^\s(`])(?<!```text\n)(?:\.venv/bin/)?python -m ([\w.]+)([^`)\n]*)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text_of(document: Path) -> str:
    """A document's words; of a notebook, those between its cells of code."""
    text = document.read_text(encoding="utf-8")
    if document.suffix == ".md":
        return text
    return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")


def anchor_of(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def in_documents(pattern: re.Pattern[str]) -> list[object]:
    found = [(each, *match.groups()) for each in DOCUMENTS for match in pattern.finditer(text_of(each))]
    return [pytest.param(*each, id=f"{each[0].name}-{number}") for number, each in enumerate(found)]


@pytest.mark.parametrize(("document", "link"), in_documents(LINK))
def test_a_link_leads_somewhere(document, link):
    target, _, anchor = link.partition("#")
    file = document.parent / target if target else document
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(file)), flags=re.MULTILINE)
        assert anchor in map(anchor_of, headings)


@pytest.mark.parametrize(("document", "module", "words"), in_documents(COMMAND))
def test_a_command_is_one(document, module, words):
    if module == "digit_core":
        check_usage(shlex.split(words, comments=True))
    elif module != "pytest":
        assert (ROOT / Path(*module.split("."))).with_suffix(".py").is_file()


def check_usage(words: list[str]) -> None:
    """Follow a line of the command line to its command, and parse what is left; a bare command has no more to tell."""
    command, context = main, click.Context(main)
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found, f"there is no command {name}"
        command, context = found, click.Context(found, parent=context)
    if not words:
        return
    given, _, _ = command.make_parser(context).parse_args(words)
    for parameter in command.params:
        value = given.get(parameter.name)
        named = isinstance(value, str)
        assert value or not parameter.required, f"{parameter.name} is missing"
        if named and isinstance(parameter.type, click.Choice | click.types.IntParamType | click.types.FloatParamType):
            parameter.type.convert(value, parameter, context)


def test_a_command_that_is_none_is_found():
    with pytest.raises(AssertionError, match="no command fetch"):
        check_usage(["fetch", "pen-digits"])
    with pytest.raises(click.UsageError, match="--bass"):
        check_usage(["fine-tune", "--bass", "cnn"])
    with pytest.raises(click.BadParameter, match="guick-look"):
        check_usage(["train", "--preset", "guick-look"])
    with pytest.raises(AssertionError, match="data is missing"):
        check_usage(["evaluate", "--model", "cnn"])


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_is_of_this_code(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == PAGES[page](), "run python -m tests.reference"


def test_the_readme_names_every_setting_and_no_other():
    settings = (ROOT / "digit_core" / "settings.py").read_text(encoding="utf-8")
    readme = text_of(ROOT / "README.md")
    assert set(re.findall(r"^\| `(DIGIT_LAB_\w+)` \|", readme, re.MULTILINE)) == set(
        re.findall(r"DIGIT_LAB_[A-Z_]+", settings)
    )
