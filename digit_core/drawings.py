"""Labelled files -> drawings, one by one, so that a file may be larger than memory."""

import base64
import gzip
import json
import math
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from digit_core.arrays import ARCHIVE_ERRORS, load_arrays
from digit_core.errors import DataUnavailable, DigitError, UnreadableInput
from digit_core.pictures import MAX_BYTES, picture_from_array, read_picture
from digit_core.strokes import read_strokes
from digit_core.types import Drawing

ARRAYS_BYTES = 2**31  # of a .npz file, unpacked
BLANK_LINES = 10_000  # of a file, which would take long and hold nothing
ARRAYS_PICTURES = 1_000_000
ZIP_PICTURES = 100_000
LINE_BYTES = 2**24  # of a strokes file: a million points, so that they can be refused by name
_LABELLED = re.compile(r"(^|/)[0-9]/(?!\.)[^/]+$")  # a file in a folder of a digit, not a hidden one


def read_drawings(
    path: Path, accept: Callable[[dict[str, Any]], bool] = lambda entry: True
) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    """Read labelled drawings one by one: the label 0-9, or None, and the drawing, or why it cannot be read.

    path: a folder `0/ ... 9/` of pictures, or a `.zip` of such folders; a `.npz` with `x (N, H, W) uint8` and `y (N,)`;
    or a `.jsonl` or `.jsonl.gz` of lines `{"label": 7, "strokes": [[[x, y], ...], ...]}`, of which those are read that
    `accept` takes. Raises DataUnavailable when it is none of them.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".zip":
        return _read_zip(path)
    if path.suffix == ".npz":
        return _read_arrays(path)
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _read_lines(path, accept)
    raise DataUnavailable(
        f"{path} is no data. Name mnist, a folder 0/ ... 9/ of pictures, a .zip of it, a .npz or a .jsonl[.gz] file."
    )


def _read_folder(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    files = [(digit, file) for digit in range(10) for file in sorted((path / str(digit)).glob("*")) if file.is_file()]
    if not files:
        raise DataUnavailable(f"{path} holds no pictures. Put them into folders named 0 to 9 in it.")
    root = path.resolve()
    for digit, file in files:
        if file.resolve().is_relative_to(root):
            yield digit, _or_error(read_picture_file, file)
        else:
            yield digit, UnreadableInput(f"{file} is a link that leads out of {path}. Put the picture itself there.")


def _read_zip(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [item for item in archive.infolist() if _LABELLED.search(item.filename)]
            if not members:
                raise DataUnavailable(f"{path} holds no pictures. Put them into folders named 0 to 9 in it.")
            if len(members) > ZIP_PICTURES or sum(item.file_size for item in members) > ARRAYS_BYTES:
                raise DataUnavailable(
                    f"{path} holds more than {ZIP_PICTURES:,} pictures, or {ARRAYS_BYTES / 1e9:.0f} GB. Split it."
                )
            for item in sorted(members, key=lambda item: item.filename):
                with archive.open(item) as content:
                    picture = content.read(MAX_BYTES + 1)
                yield int(PurePosixPath(item.filename).parent.name), _or_error(read_picture, picture)
    except ARCHIVE_ERRORS as error:
        raise DataUnavailable(f"{path} cannot be read: {error}. Check that the file is whole.") from None


def read_picture_file(file: Path) -> Drawing:
    """Read a picture file, as `read_picture` does. Raises UnreadableInput, TooLarge."""
    try:
        with file.open("rb") as content:
            return read_picture(content.read(MAX_BYTES + 1))
    except OSError as error:
        raise UnreadableInput(f"The file cannot be opened: {error.strerror}. Check its name.") from None


def _read_arrays(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    arrays = load_arrays(path, ("x", "y"), ARRAYS_BYTES, "Give x (N, H, W) uint8 and y (N,) digits.")
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 3 or x.dtype != np.uint8 or y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise DataUnavailable(
            f"{path} has x {x.shape} {x.dtype} and y {y.shape} {y.dtype}. Give (N, H, W) uint8 and (N,)."
        )
    if len(x) > ARRAYS_PICTURES:
        raise DataUnavailable(f"{path} holds {len(x):,} pictures. Give at most {ARRAYS_PICTURES:,} in one file.")
    for image, label in zip(x, y, strict=True):
        yield _check_label(int(label), path), _or_error(picture_from_array, image)


def _read_lines(
    path: Path, accept: Callable[[dict[str, Any]], bool]
) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    for _, entry in read_lines(path):
        label = _check_label(entry.get("label"), path)
        if accept(entry):
            yield label, _or_error(read_drawing, entry)


def read_lines(path: Path, most: float = math.inf) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a `.jsonl` or `.jsonl.gz` file with the numbers of their lines.

    most: bytes that all lines may have, unpacked. Raises DataUnavailable beyond, and when the file is damaged.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            number = read = blank = 0
            while line := file.readline(LINE_BYTES):
                number, read, blank = number + 1, read + len(line), blank + line.isspace()
                if read > most or blank > BLANK_LINES:
                    raise DataUnavailable(f"{path} is too large, or mostly blank. Split it, or leave blank lines out.")
                if not line.isspace():
                    yield number, _read_entry(line, f"{path}, line {number:,}")
    except (OSError, EOFError, zlib.error) as error:
        raise DataUnavailable(f"{path} cannot be read: {error}. Check that the file is whole.") from None


def read_drawing(entry: dict[str, Any]) -> Drawing:
    """The drawing of an object with `strokes`, or, where there are none, a `picture` in Base64.

    Raises UnreadableInput, TooLarge.
    """
    picture = entry.get("picture")
    if entry.get("strokes") or not isinstance(picture, str):
        return Drawing(read_strokes(entry.get("strokes")))
    try:
        return read_picture(base64.b64decode(picture, validate=True))
    except ValueError:
        raise UnreadableInput("The picture is no Base64. Export it again.") from None


def _read_entry(line: bytes, place: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise DataUnavailable(f'{place} is not of the form {{"label": 7, "strokes": [[[x, y], ...], ...]}}.')
    return entry


def _check_label(label: Any, path: Path) -> int | None:
    if label is not None and (isinstance(label, bool) or not isinstance(label, int) or not 0 <= label <= 9):
        raise DataUnavailable(f"{path} has the label {label!r:.40}. Give 0 to 9, or null for what is no digit.")
    return label


def _or_error(read: Callable[[Any], Drawing], source: Any) -> Drawing | DigitError:
    try:
        return read(source)
    except DigitError as error:
        return error
