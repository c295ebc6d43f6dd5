"""Feedback and labelled drawings from files into the store."""

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from digit_core.drawings import read_drawing, read_drawings, read_lines
from digit_core.errors import DataUnavailable, DigitError, FeedbackUnavailable, UnreadableInput
from digit_core.feedback import FeedbackStore
from digit_core.pictures import WORK_SIDE, decode_grey
from digit_core.preprocessing import preprocess
from digit_core.strokes import SIDE, read_strokes
from digit_core.tables import MOMENTS, PLAIN, SAID, to_rows
from digit_core.types import Drawing, Feedback, InputKind, Source

CHUNK = 100  # entries that are added in one step
MOST_BYTES = 2**31  # of lines, unpacked
REASONS = 5  # that are told
MOST_LEFT_OUT = 10_000  # entries: a file with more is the wrong one


@dataclass(frozen=True)
class Imported:
    """What an import did: how many entries are new, were known, were left out, and why the first of these were."""

    added: int
    known: int
    left_out: int
    reasons: tuple[str, ...]


def import_feedback(
    store: FeedbackStore, path: Path, on_progress: Callable[[int], None] = lambda done: None
) -> Imported:
    """Add the entries of an exported file, or labelled drawings: whatever `read_drawings` reads.

    What is in the store already stays as it is, also when the same drawings are imported again. A drawing that cannot
    be read is left out. Raises DataUnavailable when the file is of no known form, after the entries before the fault
    were added; FeedbackUnavailable.
    """
    added = known = left_out = 0
    reasons: list[str] = []
    waiting: list[Feedback] = []

    def flush() -> None:
        nonlocal added, known
        new = store.add_all(waiting)
        added, known = added + new, known + len(waiting) - new
        waiting.clear()
        on_progress(added + known + left_out)

    try:
        for entry in _read_entries(path):
            if isinstance(entry, str):
                left_out += 1
                reasons = [*reasons, entry][:REASONS]
                if left_out > MOST_LEFT_OUT:
                    raise DataUnavailable(f"More than {MOST_LEFT_OUT:,} entries cannot be used. {reasons[0]}")
                if left_out % CHUNK == 0:
                    on_progress(added + known + left_out)
                continue
            waiting.append(entry)
            if len(waiting) == CHUNK:
                flush()
        flush()
    except DataUnavailable as error:
        flush()
        raise DataUnavailable(f"{error} {_say_what_is_in(added + known, 'the mended file')}") from None
    except FeedbackUnavailable as error:
        raise FeedbackUnavailable(f"{error} {_say_what_is_in(added + known, 'it')}") from error
    return Imported(added, known, left_out, tuple(reasons))


def _say_what_is_in(count: int, what: str) -> str:
    if not count:
        return "Nothing of it was imported."
    return f"Imported before that: {count:,}. Import {what} again: what is in counts once."


def _read_entries(path: Path) -> Iterator[Feedback | str]:
    """The entries of a file, or why one is left out."""
    if not path.name.endswith((".jsonl", ".jsonl.gz")):
        for number, (label, drawing) in enumerate(read_drawings(path), 1):
            yield _or_reason(f"Drawing {number:,}", partial(_collect, label, drawing))
        return
    for number, values in read_lines(path, MOST_BYTES):
        is_ours = "id" in values and "image" in values
        read = _from_values if is_ours else _from_strokes
        yield _or_reason(f"Line {number:,}", partial(read, values))


def _or_reason(where: str, read: Callable[[], Feedback]) -> Feedback | str:
    try:
        entry = read()
        to_rows(entry)  # what the store would refuse
        return entry
    except DigitError as error:
        return f"{where}: {error}"


def _from_strokes(values: dict[str, Any]) -> Feedback:
    if "label" not in values:
        raise UnreadableInput('There is no "label". Give 0 to 9, or null for what is no digit.')
    return _collect(values["label"], read_drawing(values))


def _collect(label: int | None, drawing: Drawing | DigitError) -> Feedback:
    """An entry of a labelled drawing that no model read; its id follows from both, so that it is the same again."""
    if isinstance(drawing, DigitError):
        raise drawing
    parts = drawing.strokes if drawing.image is None else (drawing.image,)
    content = b"/".join([repr(label).encode(), *(repr(part.shape).encode() + part.tobytes() for part in parts)])
    return Feedback(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(content).hexdigest())),
        created_at=datetime.now(UTC),
        session_id="import",
        drawing=drawing,
        input_kind="import",
        image=preprocess(drawing),
        answers=(),
        true_digit=label,
        source="import",
    )


def _from_values(values: dict[str, Any]) -> Feedback:
    """An entry from the JSON values that `_to_values` made of it. Raises UnreadableInput."""
    try:
        answers = tuple({name: answer[name] for name in SAID} for answer in values["answers"])
        whole = (
            all(isinstance(values[name], str) for name in ("id", "session_id", "comment", "created_at"))
            and isinstance(values["visitor"], str | None)
            and isinstance(values["judged"], bool)
            and values["input_kind"] in get_args(InputKind)
            and values["source"] in get_args(Source)
            and all(isinstance(answer[name], str) for answer in answers for name in ("model_id", "sha256"))
        )
        plain: dict[str, Any] = {name: values[name] for name in PLAIN} | {n: _to_moment(values[n]) for n in MOMENTS}
        picture = None if values["picture"] is None else _to_picture(values["picture"])
        drawing, image = Drawing(read_strokes(values["strokes"]), picture), _to_picture(values["image"], SIDE)
        entry = Feedback(
            values["id"], drawing=drawing, image=image, answers=answers, true_digit=values["label"], **plain
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        whole = False
    if not whole:
        raise UnreadableInput("This is no entry as `feedback export` writes it. Export it again.")
    return entry


def _to_moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment


def _to_picture(text: str, most: int = WORK_SIDE) -> np.ndarray:
    return decode_grey(base64.b64decode(text, validate=True), most)
