"""Feedback to files: all of it as `.jsonl.gz`, one way as CSV, as `.npz` of MNIST's shape, as a zip of PNGs."""

import base64
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, get_args

import numpy as np

from digit_core.feedback import FeedbackStore
from digit_core.pictures import encode_png
from digit_core.selection import ALL, Selection
from digit_core.strokes import SIDE, place, sketch
from digit_core.tables import MOMENTS, PLAIN
from digit_core.types import Feedback

Format = Literal["jsonl.gz", "csv", "npz", "zip"]
FORMATS: tuple[Format, ...] = get_args(Format)
REPORT = 500  # entries between two reports
PEN, EXTENT, CANVAS = 20, 210.0, 280  # pixels, of strokes as they are drawn into PNGs
NONE = "none"  # the label, and the folder, of what is no digit
COLUMNS = (
    *("id", "created_at", "label", "model", "digit", "confidence", "right", "input_kind", "visitor", "session_id"),
    *("source", "comment", "judged", "reviewed_at", "answers"),
)
FORMULA = tuple("=+-@\t\r")  # what a spreadsheet takes for the start of one


def export_feedback(
    store: FeedbackStore,
    file: BinaryIO,
    form: Format,
    which: Selection = ALL,
    on_progress: Callable[[float], None] = lambda share: None,
) -> int:
    """Write the selected entries to a file and return how many it holds, newest first.

    `jsonl.gz` holds all that is known, a line of JSON each, `label` being the digit, null for what is none; `csv` a row
    each, without drawings; `npz` the images `x (N, 28, 28) uint8` and `y (N,) int64` of what is a digit; `zip` the
    drawings as PNG, in a folder for each label. Raises FeedbackUnavailable.
    """
    entries = _reporting(store, which, on_progress)
    return {"jsonl.gz": _write_lines, "csv": _write_csv, "npz": _write_arrays, "zip": _write_pictures}[form](
        entries, file
    )


def _reporting(store: FeedbackStore, which: Selection, on_progress: Callable[[float], None]) -> Iterator[Feedback]:
    total = max(store.count(which), 1)
    for done, entry in enumerate(store.walk(which)):
        if done % REPORT == 0:
            on_progress(min(done / total, 1.0))
        yield entry
    on_progress(1.0)


def _write_lines(entries: Iterator[Feedback], file: BinaryIO) -> int:
    count = 0
    with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as lines:  # the same entries make the same file
        for entry in entries:
            lines.write(json.dumps(_to_values(entry), ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _write_csv(entries: Iterator[Feedback], file: BinaryIO) -> int:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
    rows = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    rows.writeheader()
    count = 0
    for entry in entries:
        values = _to_values(entry)
        leading = entry.answers[0] if entry.answers else {"model_id": None, "digit": None, "confidence": None}
        values |= {"model": leading["model_id"], "digit": leading["digit"], "confidence": leading["confidence"]}
        values |= {"right": leading["digit"] == entry.true_digit} if entry.answers and entry.judged else {}
        values["answers"] = json.dumps(values["answers"])
        rows.writerow({name: _tame(value) for name, value in values.items()})
        count += 1
    text.detach()
    return count


def _tame(value: Any) -> Any:
    """Keep a spreadsheet from taking what somebody wrote for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _write_arrays(entries: Iterator[Feedback], file: BinaryIO) -> int:
    images, digits = [], []
    for entry in entries:
        if entry.judged and entry.true_digit is not None:
            images.append(entry.image)
            digits.append(entry.true_digit)
    np.savez_compressed(file, x=np.array(images, np.uint8).reshape(-1, SIDE, SIDE), y=np.array(digits, np.int64))
    return len(images)


def _write_pictures(entries: Iterator[Feedback], file: BinaryIO) -> int:
    count = 0
    with zipfile.ZipFile(file, "w") as archive:
        for entry in entries:
            if entry.judged:
                label = NONE if entry.true_digit is None else str(entry.true_digit)
                archive.writestr(zipfile.ZipInfo(f"{label}/{entry.id}.png"), encode_png(picture_of(entry)))
                count += 1
    return count


def picture_of(entry: Feedback) -> np.ndarray:
    """An entry's drawing to look at, `(H, W) uint8`, ink bright."""
    if entry.drawing.image is not None:
        return entry.drawing.image
    return sketch(place(entry.drawing.strokes, EXTENT, (CANVAS / 2, CANVAS / 2)), PEN, CANVAS)


def _to_values(entry: Feedback) -> dict[str, Any]:
    """An entry as JSON values; floats come back to the last bit."""
    picture = entry.drawing.image
    moments = {name: getattr(entry, name) for name in MOMENTS}
    return {
        "id": entry.id,
        "label": entry.true_digit,
        **{name: moment and moment.isoformat() for name, moment in moments.items()},
        **{name: getattr(entry, name) for name in PLAIN},
        "answers": list(entry.answers),
        "strokes": [stroke.tolist() for stroke in entry.drawing.strokes],
        "picture": None if picture is None else base64.b64encode(encode_png(picture)).decode(),
        "image": base64.b64encode(encode_png(entry.image)).decode(),
    }
