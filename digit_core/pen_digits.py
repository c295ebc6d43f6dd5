"""The UCI Pen Digits (Alpaydin and Alimoglu 1998, CC BY 4.0): 7,494 digits of 30 writers, as pen strokes.

The archive holds the original strokes as UNIPEN text, packed with Unix's `compress`; kept is a file of lines, as
`drawings.read_drawings` reads them.
"""

import gzip
import hashlib
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import uncompresspy

from digit_core.arrays import ARCHIVE_ERRORS
from digit_core.downloads import fetch
from digit_core.errors import DataUnavailable
from digit_core.model_store import write_file
from digit_core.settings import Settings

URL = "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip"
ARCHIVE, MEMBER, STROKES = "pen_digits.zip", "pendigits-orig.tra.Z", "pen_digits_strokes.jsonl.gz"
ARCHIVE_BYTES, TEXT_BYTES = 50_000_000, 50_000_000
FORM = 'lines {"label": 7, "writer": "train-12", "strokes": [[[x, y], ...], ...]}'
BOX = 500  # tablet units, in which y grows upward
# Of labels, writers and points, each drawing's moved to its own corner: it holds for every packaging.
SHA256 = "92dd8d0ba69fb94fe0b7472188b1e069b59d0d6c81898d4548dbc01238972960"


def find_pen_digits(settings: Settings) -> Path | None:
    """Return the file of strokes on this machine, or None. One named by `DIGIT_LAB_PEN_DIGITS` is not replaced."""
    path = settings.pen_digits or settings.data / STROKES
    return path if path.is_file() else None


def require_pen_digits(settings: Settings) -> Path:
    """Return the file of strokes on this machine. Raises DataUnavailable, with what to do, when there is none."""
    if path := find_pen_digits(settings):
        return path
    if settings.pen_digits:
        raise DataUnavailable(
            f"DIGIT_LAB_PEN_DIGITS names {settings.pen_digits}, which is not there. Put the strokes there, take the "
            "setting away, or choose other images."
        )
    raise DataUnavailable(
        "The pen strokes are not on this machine. Fetch them with `python -m digit_core data fetch pen-digits`, or set "
        f"DIGIT_LAB_PEN_DIGITS to a .jsonl[.gz] file of {FORM}, or choose other images."
    )


def download_pen_digits(settings: Settings, on_progress: Callable[[float], None]) -> Path:
    """Fetch the strokes into the data folder and return their path. Raises DataUnavailable, StorageFailed."""
    target, archive = settings.data / STROKES, settings.data / ARCHIVE
    otherwise = "name a file of strokes in DIGIT_LAB_PEN_DIGITS."
    drawings = fetch(URL, archive, ARCHIVE_BYTES, _read_archive, on_progress, otherwise)
    lines = "".join(json.dumps(drawing, separators=(",", ":")) + "\n" for drawing in drawings)
    write_file(target, gzip.compress(lines.encode(), mtime=0))
    return target


def _read_archive(path: Path) -> list[dict[str, Any]]:
    """The drawings of UCI's archive. Raises DataUnavailable when it is something else."""
    try:
        with (
            zipfile.ZipFile(path) as archive,
            archive.open(MEMBER) as packed,
            uncompresspy.LZWFile(packed, warn_truncation=False) as text,  # the digest tells what is cut off
        ):
            content = text.read(TEXT_BYTES)
        drawings = list(read_unipen(content.decode("ascii").splitlines()))
    except ARCHIVE_ERRORS:
        raise DataUnavailable(f"{path} cannot be read as the UCI Pen Digits.") from None
    if digest(drawings) != SHA256:
        raise DataUnavailable(f"{path} does not hold the UCI Pen Digits.")
    return drawings


def read_unipen(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read UNIPEN text: `{"label": 7, "writer": "train-12", "strokes": [[[x, y], ...], ...]}` for each digit, y down.

    Raises ValueError for what is no such text.
    """
    drawing: dict[str, Any] = {}
    for line in map(str.strip, lines):
        if line.startswith(".SEGMENT DIGIT"):
            if drawing:
                yield drawing
            drawing = {"label": _number(r'.*"(\d)"', line), "writer": "", "strokes": []}
        elif line.startswith(".COMMENT") and drawing and not drawing["writer"]:
            writer = _number(r"\.COMMENT +\d +(\d{1,2}) .*", line)  # label, writer, number
            drawing["writer"] = f"train-{writer:02}"
        elif line == ".PEN_DOWN" and drawing:
            drawing["strokes"].append([])
        elif drawing and drawing["strokes"] and re.fullmatch(r"\d{1,4}\s+\d{1,4}", line, re.ASCII):
            x, y = map(int, line.split())
            drawing["strokes"][-1].append([x, BOX - y])
    if not drawing:
        raise ValueError("no digit in it")
    yield drawing


def _number(pattern: str, line: str) -> int:
    if found := re.fullmatch(pattern, line, re.ASCII):
        return int(found[1])
    raise ValueError(f"no number in {line!r:.80}")


def digest(drawings: Iterable[dict[str, Any]]) -> str:
    """SHA-256 of drawings: labels, writers and points, wherever on the tablet each was drawn."""
    found = hashlib.sha256()
    for drawing in drawings:
        strokes = [stroke for stroke in drawing["strokes"] if stroke]
        corner = np.min([point for stroke in strokes for point in stroke] or [[0, 0]], axis=0)
        found.update(f"{drawing['label']} {drawing['writer']} {len(strokes)}".encode())
        for stroke in strokes:
            found.update((np.array(stroke) - corner).astype("<i4").tobytes())
    return found.hexdigest()
