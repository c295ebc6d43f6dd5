"""Arrays in `.npz` files: read within bounds, written whole or not at all, drawn once and kept."""

import contextlib
import io
import lzma
import math
import threading
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.errors import DataUnavailable, StorageFailed
from digit_core.model_store import storing, write_file

ARCHIVE_ERRORS = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, SyntaxError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)
HEADERS = 1_000  # bytes of a file for each array, beside its numbers
_drawing: dict[Path, threading.Lock] = {}  # one draws, others wait


def load_arrays(path: Path, names: tuple[str, ...], limit: int, advice: str) -> dict[str, np.ndarray]:
    """Read arrays from an `.npz` file, none of them pickled, `limit` bytes together at most.

    Raises DataUnavailable, with advice as its last sentence.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > limit:
                raise DataUnavailable(f"{path} holds more than {limit / 1e6:,.0f} MB. {advice}")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.ascontiguousarray(file[name]) for name in names}
    except ARCHIVE_ERRORS:
        raise DataUnavailable(f"{path} cannot be read. {advice}") from None


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as an `.npz` file in a folder that is there. Raises StorageFailed."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_file(path, content.getvalue())


def keep_arrays(path: Path, arrays: dict[str, np.ndarray]) -> bool:
    """Write arrays that can be made again, making their folder; False where the disk does not take them."""
    with contextlib.suppress(StorageFailed):
        with storing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(path, arrays)
        return True
    return False


def draw_once(
    path: Path, shapes: Mapping[str, tuple[int, ...]], draw: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Read images, uint8 arrays of these names and shapes, that the program drew before and kept.

    They are drawn where they are not there, or are damaged, and kept if the disk takes them.
    """
    with _drawing.setdefault(path, threading.Lock()):
        with contextlib.suppress(DataUnavailable):
            limit = sum(math.prod(shape) + HEADERS for shape in shapes.values())
            kept = load_arrays(path, tuple(shapes), limit, "It is drawn anew.")
            if all(kept[name].shape == shape and kept[name].dtype == np.uint8 for name, shape in shapes.items()):
                return kept
        drawn = draw()
        keep_arrays(path, drawn)
        return drawn
