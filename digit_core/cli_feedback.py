"""The command line's `feedback`: what people said, listed, counted, taken out and brought in."""

import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import update_wrapper
from pathlib import Path
from typing import Any, get_args

import click

from digit_core.cli_door import complete_model, echo_json
from digit_core.database import Database
from digit_core.feedback import FeedbackStore
from digit_core.feedback_export import FORMATS, NONE, export_feedback
from digit_core.feedback_import import import_feedback
from digit_core.model_store import storing
from digit_core.selection import Doubt, Selection, Verdict
from digit_core.settings import Settings
from digit_core.types import Feedback


class UtcMoment(click.DateTime):
    """A day, or a moment of it, in UTC."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        return super().convert(value, param, ctx).replace(tzinfo=UTC)


UTC_MOMENT = UtcMoment()


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose entries; the command gets them as `which`, a Selection."""

    def choose(*arguments: Any, digits: tuple[str, ...], **values: Any) -> None:
        named = tuple(None if digit == NONE else int(digit) for digit in digits)
        names = ("model_id", "verdict", "visitor", "since", "until", "doubt", "deleted")
        chosen = {name: values.pop(name) for name in names}
        command(*arguments, which=Selection(true_digits=named, **chosen), **values)

    every: Callable[..., None] = update_wrapper(choose, command)
    for option in (
        click.option("--deleted", is_flag=True, help="Those that were deleted, instead of the others."),
        click.option("--doubt", type=click.Choice(get_args(Doubt)), help="Labels that are likely wrong."),
        click.option("--until", type=UTC_MOMENT, help="Before this moment, in UTC."),
        click.option("--since", type=UTC_MOMENT, help="From this moment on, in UTC."),
        click.option("--visitor", help="A nickname or class."),
        click.option("--verdict", type=click.Choice(get_args(Verdict)), help="How the model did."),
        click.option(
            "--model",
            "model_id",
            shell_complete=complete_model,
            help="A model that answered; the leading one counts if left out.",
        ),
        click.option(
            "--digit",
            "digits",
            multiple=True,
            type=click.Choice([*map(str, range(10)), NONE]),
            help="What it shows; may be given several times.",
        ),
    ):
        every = option(every)
    return every


@contextmanager
def opened(settings: Settings) -> Iterator[FeedbackStore]:
    """The store of the settings, for as long as a command takes."""
    with closing(FeedbackStore(settings.database_url)) as store:
        yield store


@click.group()
def feedback() -> None:
    """What people said of their drawings."""


@feedback.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Entries at most.")
@click.option("--offset", type=click.IntRange(0, 2**31), default=0, help="Newer entries to pass over.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON per entry.")
@selection_options
@click.pass_obj
def feedback_list(settings: Settings, /, limit: int, offset: int, which: Selection, as_json: bool) -> None:
    """List entries, the newest first. Example: feedback list --verdict wrong --digit 7"""
    with opened(settings) as store:
        for entry in store.list(limit, offset, which):
            if as_json:
                echo_json(_summary(entry))
            else:
                click.echo(_line(entry))


@feedback.command("stats")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@selection_options
@click.pass_obj
def feedback_stats(settings: Settings, /, which: Selection, as_json: bool) -> None:
    """Say how often the models were right. Example: feedback stats --model cnn"""
    if which.verdict or which.deleted:
        raise click.UsageError("What was judged and is there is counted. Leave --verdict and --deleted out.")
    with opened(settings) as store:
        stats = store.stats(which)
    if as_json:
        echo_json(stats.to_plain())
        return
    click.echo(f"{stats.total:,} judged, {_share((stats.total, stats.correct))} right; {stats.collected:,} collected")
    for title, shares in (("digit", stats.by_digit), ("model", stats.by_model), ("visitor", stats.by_visitor)):
        for name, share in shares.items():
            if share[0]:
                click.echo(f"{title} {name}: {share[1]:,} of {share[0]:,}, {_share(share)}")
    for true, predicted, count in stats.confusions[:10]:
        click.echo(f"{NONE if true is None else true} read as {predicted}: {count:,} times")


@feedback.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@selection_options
@click.pass_obj
def feedback_export(settings: Settings, /, file: Path, which: Selection, as_json: bool) -> None:
    """Write entries to FILE: .jsonl.gz holds all that is known of each; .csv, .npz and .zip (of PNGs) a part.

    What was deleted, and what nobody judged, is written only when it is asked for. Example: feedback export
    mine.jsonl.gz
    """
    form = next((form for form in FORMATS if file.name.endswith(f".{form}")), None)
    if form is None:
        raise click.UsageError(f"{file.name} does not tell what to write. End it with .{', .'.join(FORMATS)}.")
    target = file.resolve()
    with opened(settings) as store, storing(target.parent), tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        partial = Path(scratch) / target.name
        with partial.open("wb") as content, click.progressbar(length=100, label="Writing", file=sys.stderr) as bar:
            count = export_feedback(store, content, form, which, lambda share: bar.update(int(100 * share) - bar.pos))
        partial.replace(target)
    if as_json:
        echo_json({"file": str(file), "entries": count})
    else:
        click.echo(f"{count:,} entries in {click.format_filename(file)}")


@feedback.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def feedback_import(settings: Settings, /, path: Path, as_json: bool) -> None:
    """Add an exported file, a folder 0/ ... 9/ of pictures or a .zip of it, an .npz or a strokes file.

    An entry that is known, and a file that comes again, count once. Example: feedback import drawings/
    """
    with opened(settings) as store:
        done = import_feedback(store, path, lambda count: click.echo(f"{count:,} read", err=True))
    if as_json:
        echo_json(dataclasses.asdict(done))
        return
    for reason in done.reasons:
        click.echo(reason, err=True)
    known = f", {done.known:,} known already" if done.known else ""
    left_out = f", {done.left_out:,} left out" if done.left_out else ""
    click.echo(f"{done.added:,} entries added{known}{left_out}")


@feedback.command("migrate")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def feedback_migrate(settings: Settings, /, as_json: bool) -> None:
    """Bring the feedback database to the tables of this version. SQLite needs no such call."""
    with closing(Database(settings.database_url)) as database:
        changed = database.migrate()
        if as_json:
            echo_json({"database": str(database), "changed": changed})
        else:
            click.echo(f"{database} has now the tables of this version.")


def _summary(entry: Feedback) -> dict[str, Any]:
    return {
        "id": entry.id,
        "created_at": entry.created_at.isoformat(),
        "label": entry.true_digit,
        "judged": entry.judged,
        "answers": list(entry.answers),
        "input_kind": entry.input_kind,
        "visitor": entry.visitor,
        "comment": entry.comment,
    }


def _line(entry: Feedback) -> str:
    label = NONE if entry.true_digit is None else entry.true_digit
    label = label if entry.judged else "unjudged"
    read = ", ".join(f"{each['model_id']} {each['digit']} ({100 * each['confidence']:.0f} %)" for each in entry.answers)
    who = f"  {entry.visitor}" if entry.visitor else ""
    return f"{entry.created_at:%Y-%m-%d %H:%M}  {entry.id}  {label}  {read or 'collected'}{who}"


def _share(share: tuple[int, int]) -> str:
    total, correct = share
    return f"{100 * correct / total:.1f} %" if total else "none"
