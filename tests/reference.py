"""The reference of commands and API, from the code: `python -m tests.reference` writes it into docs/."""

from collections.abc import Iterator
from typing import Any

import click

from digit_core.api import build
from digit_core.cli import main
from digit_core.settings import ROOT, read_settings

COMMAND = "python -m digit_core"


def list_commands(command: click.Command = main, path: str = COMMAND) -> Iterator[tuple[str, click.Command]]:
    """All commands that do something, with the words that call them."""
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from list_commands(command.commands[name], f"{path} {name}")
    else:
        yield path, command


def describe_commands() -> str:
    """Markdown: what each command does, takes and is told."""
    parts = [
        "# Commands",
        "Made from the code by `python -m tests.reference`. Each command tells the same by `--help`.",
    ]
    for path, command in list_commands():
        context = click.Context(command, info_name=path)
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        parts.append(f"## {path.removeprefix(COMMAND).strip()}")
        parts += [f"```text\n{usage}\n```", " ".join((command.help or "").split())]
        rows = [record for each in command.params if (record := each.get_help_record(context))]
        parts.append("\n".join(["| option | meaning |", "|---|---|", *(row(name, words) for name, words in rows)]))
    return "\n\n".join(parts) + "\n"


def describe_api() -> str:
    """Markdown: each address, what it takes and what it answers."""
    paths: dict[str, Any] = build(read_settings({})).routes[0].app.openapi()["paths"]
    parts = [
        "# REST API",
        "Made from the code by `python -m tests.reference`. A running server shows it under `/api/docs`, where it can "
        "be tried, and gives it to programs as `/api/openapi.json`; the [README](../README.md#rest-api) has examples.",
    ]
    for path, methods in paths.items():
        for method, told in methods.items():
            parts += [f"## {method.upper()} /api{path}", told.get("description") or told["summary"]]
            taken = told.get("requestBody", {}).get("content", {})
            rows = [row(each["name"], each.get("description", "")) for each in told.get("parameters", [])]
            if rows:
                parts.append("\n".join(["| takes | meaning |", "|---|---|", *rows]))
            if taken:
                parts.append(f"A body of {', '.join(f'`{kind}`' for kind in taken)}.")
            answers = [row(status, answer["description"]) for status, answer in sorted(told["responses"].items())]
            parts.append("\n".join(["| answers | meaning |", "|---|---|", *answers]))
    return "\n\n".join(parts) + "\n"


def row(name: str, words: str) -> str:
    name, words = (" ".join(text.replace("|", "\\|").split()) for text in (name, words))
    return f"| `{name}` | {words} |"


PAGES = {"commands.md": describe_commands, "api.md": describe_api}

if __name__ == "__main__":
    for file, describe in PAGES.items():
        (ROOT / "docs" / file).write_text(describe(), encoding="utf-8")
