"""The reference of commands and API, from the code: `python -m tests.reference` writes it into docs/."""

from collections.abc import Iterator
from typing import Any

import click

from digit_core.api import build
from digit_core.cli import main
from digit_core.settings import ROOT, read_settings

COMMAND = "python -m digit_core"
LIMITLESS = 1e9  # a bound that only keeps numbers finite


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
        told = [each.get_help_record(context) for each in command.params]
        parts.append(table("option", [row(*each) for each in told if each and each[1]]))
    return "\n\n".join(parts) + "\n"


def describe_api() -> str:
    """Markdown: each address, what it takes and what it answers, then the objects that these are made of."""
    told: dict[str, Any] = build(read_settings({})).routes[0].app.openapi()
    parts = [
        "# REST API",
        "Made from the code by `python -m tests.reference`. A running server shows it under `/api/docs`, where it can "
        "be tried, and gives it to programs as `/api/openapi.json`; the [README](../README.md#rest-api) has examples.",
    ]
    for path, methods in told["paths"].items():
        for method, call in methods.items():
            parts += [f"## {method.upper()} /api{path}", call.get("description") or call["summary"]]
            rows = [row(each["name"], each.get("description", "")) for each in call.get("parameters", [])]
            if rows:
                parts.append(table("parameter", rows))
            bodies = call.get("requestBody", {}).get("content", {})
            if bodies:
                parts.append(f"Takes {', '.join(f'`{kind}`' for kind in bodies)}.")
                body = bodies["application/json"]["schema"]
                parts += [f"As JSON:\n\n{list_fields(each)}" for each in body.get("anyOf", [body])]
            answers = {}
            for status, answer in sorted(call["responses"].items()):
                done = answer["content"]["application/json"]["schema"] if status.startswith("2") else None
                answers[status] = type_of(done) if done else answer["description"]
            parts.append(table("answers", [row(*answer) for answer in answers.items()]))
    for name, schema in sorted(told["components"]["schemas"].items()):
        parts += [f"## {name}", schema.get("description", ""), list_fields(schema)]
    return "\n\n".join(filter(None, parts)) + "\n"


def list_fields(schema: dict[str, Any]) -> str:
    """Markdown: the fields of an object; those that may be left out are said to be optional."""
    rows = []
    for name, field in schema["properties"].items():
        kind = type_of(field) + ("" if name in schema.get("required", []) else ", optional")
        rows.append(row(name, "; ".join(filter(None, (kind, field.get("description"))))))
    return table("field", rows)


def type_of(schema: dict[str, Any]) -> str:
    """What a value is: `integer 0 to 9`, a list of an object that another section describes."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(type_of, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    within = schema.get("items") or schema.get("additionalProperties")
    if isinstance(within, dict):
        return f"{'list' if schema['type'] == 'array' else 'object'} of {type_of(within)}"
    kind: str = schema.get("type") or schema["description"]
    if "minimum" in schema and schema.get("maximum", LIMITLESS) < LIMITLESS:
        return f"{kind} {schema['minimum']:g} to {schema['maximum']:g}"
    return kind


def table(first: str, rows: list[str]) -> str:
    return "\n".join([f"| {first} | meaning |", "|---|---|", *rows])


def row(name: str, words: str) -> str:
    name, words = (" ".join(text.replace("|", "\\|").split()) for text in (name, words))
    return f"| `{name}` | {words} |"


PAGES = {"commands.md": describe_commands, "api.md": describe_api}

if __name__ == "__main__":
    for file, describe in PAGES.items():
        (ROOT / "docs" / file).write_text(describe(), encoding="utf-8")
