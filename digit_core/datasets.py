"""MNIST and synthetic digits -> Dataset; labelled files -> drawings, one by one.

MNIST is looked for in this order: the path given, `DIGIT_LAB_MNIST`, Keras's cache, our own; else it is downloaded.
"""

import gzip
import hashlib
import http.client
import json
import lzma
import shutil
import tempfile
import time
import tokenize
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from digit_core.errors import DataUnavailable, DigitError, UnreadableInput
from digit_core.model_store import storing, write_file
from digit_core.preprocessing import MAX_BYTES, picture_from_array, read_picture
from digit_core.settings import Settings
from digit_core.strokes import read_strokes
from digit_core.synthetic import draw_digits
from digit_core.types import Dataset, Drawing

MNIST_URL = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
MNIST_SHA256 = {  # of the arrays' bytes in C order: they hold for every packaging
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
MNIST_BYTES = 55_000_000  # unpacked; the file itself has 11.5 million
ARRAYS_BYTES = 2**31  # of a .npz file, unpacked
LINE_BYTES = 2**24  # of a strokes file: a million points, so that they can be refused by name
DOWNLOAD_BYTES = 20_000_000
NPZ_ERRORS = (
    *(OSError, ValueError, KeyError, EOFError, TypeError, SyntaxError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)
TIMEOUT = 20.0  # seconds without an answer
TRIES = 3
SYNTHETIC_TRAIN, SYNTHETIC_TEST, SYNTHETIC_SEED = 30_000, 2_000, 2026
DATASETS = ("mnist", "synthetic", "mnist+synthetic")


def load_dataset(name: str, settings: Settings, on_progress: Callable[[float], None] = lambda share: None) -> Dataset:
    """Load one of DATASETS. Raises DataUnavailable when it is none of them, or out of reach.

    `mnist+synthetic` has MNIST's test images, and ends with MNIST's training images, so that these validate.
    """
    if name not in DATASETS:
        raise DataUnavailable(f"There is no data set {name!r}. Choose one of {', '.join(DATASETS)}.")
    if name == "synthetic":
        return load_synthetic()
    mnist = load_mnist(settings, on_progress=on_progress)
    if name == "mnist":
        return mnist
    drawn = load_synthetic()
    x_train = np.concatenate([drawn.x_train, mnist.x_train])
    y_train = np.concatenate([drawn.y_train, mnist.y_train])
    return _dataset(name, x_train, y_train, mnist.x_test, mnist.y_test)


def load_mnist(
    settings: Settings, path: Path | None = None, on_progress: Callable[[float], None] = lambda share: None
) -> Dataset:
    """Load MNIST (LeCun, Cortes and Burges), downloading it if it is not on this machine.

    `on_progress` is told the share downloaded, 0-1. Raises DataUnavailable when a file that was named is not MNIST, or
    when there is none and the download fails; the message says which file to put where.
    """
    found = path or find_mnist(settings)
    if found is None:
        found = settings.data / "mnist.npz"
        _download(found, on_progress)
    return _read_mnist(found)


def find_mnist(settings: Settings) -> Path | None:
    """Return the MNIST file on this machine, or None. A file named by `DIGIT_LAB_MNIST` is not replaced by another."""
    if settings.mnist:
        return settings.mnist
    places = (Path.home() / ".keras" / "datasets" / "mnist.npz", settings.data / "mnist.npz")
    return next((place for place in places if place.is_file()), None)


def load_synthetic(train: int = SYNTHETIC_TRAIN, test: int = SYNTHETIC_TEST) -> Dataset:
    """Draw the built-in data set; the test digits come from another seed."""
    x_train, y_train = draw_digits(train, SYNTHETIC_SEED)
    x_test, y_test = draw_digits(test, SYNTHETIC_SEED + 1)
    return _dataset("synthetic", x_train, y_train, x_test, y_test)


def read_drawings(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    """Read labelled drawings one by one: the label 0-9, or None, and the drawing, or why it cannot be read.

    path: a folder `0/ ... 9/` of pictures, a `.npz` with `x (N, H, W) uint8` and `y (N,)`, or a `.jsonl` or `.jsonl.gz`
    of lines `{"label": 7, "strokes": [[[x, y], ...], ...]}`. Raises DataUnavailable when it is none of them.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".npz":
        return _read_arrays(path)
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _read_lines(path)
    raise DataUnavailable(
        f"{path} is no data. Name mnist, a folder 0/ ... 9/ of pictures, a .npz or a .jsonl[.gz] file."
    )


def _read_folder(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    files = [(digit, file) for digit in range(10) for file in sorted((path / str(digit)).glob("*")) if file.is_file()]
    if not files:
        raise DataUnavailable(f"{path} holds no pictures. Put them into folders named 0 to 9 in it.")
    for digit, file in files:
        yield digit, _or_error(read_picture_file, file)


def read_picture_file(file: Path) -> Drawing:
    """Read a picture file, as `read_picture` does. Raises UnreadableInput, TooLarge."""
    try:
        with file.open("rb") as content:
            return read_picture(content.read(MAX_BYTES + 1))
    except OSError as error:
        raise UnreadableInput(f"The file cannot be opened: {error.strerror}. Check its name.") from None


def _read_arrays(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    arrays = _load_arrays(path, ("x", "y"), ARRAYS_BYTES, "Give x (N, H, W) uint8 and y (N,) digits.")
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 3 or x.dtype != np.uint8 or y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise DataUnavailable(
            f"{path} has x {x.shape} {x.dtype} and y {y.shape} {y.dtype}. Give (N, H, W) uint8 and (N,)."
        )
    for image, label in zip(x, y.tolist(), strict=True):
        yield _check_label(label, path), _or_error(picture_from_array, image)


def _read_lines(path: Path) -> Iterator[tuple[int | None, Drawing | DigitError]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_BYTES):
                number += 1
                if line.isspace():
                    continue
                entry = _read_entry(line, f"{path}, line {number:,}")
                label = _check_label(entry.get("label"), path)
                yield label, _or_error(lambda strokes: Drawing(read_strokes(strokes)), entry.get("strokes"))
    except (OSError, EOFError, zlib.error) as error:
        raise DataUnavailable(f"{path} cannot be read: {error}. Check that the file is whole.") from None


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


def _load_arrays(path: Path, names: tuple[str, ...], limit: int, advice: str) -> dict[str, np.ndarray]:
    """Read arrays from an .npz file, none of them pickled, `limit` bytes together at most."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > limit:
                raise DataUnavailable(f"{path} holds more than {limit / 1e6:,.0f} MB. {advice}")
        with np.load(path, allow_pickle=False) as file:
            return {name: np.ascontiguousarray(file[name]) for name in names}
    except NPZ_ERRORS:
        raise DataUnavailable(f"{path} cannot be read. {advice}") from None


def _read_mnist(path: Path) -> Dataset:
    advice = f"Put mnist.npz ({MNIST_URL}) there, or name another file in DIGIT_LAB_MNIST."
    arrays = _load_arrays(path, tuple(MNIST_SHA256), MNIST_BYTES, advice)
    for name, array in arrays.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != MNIST_SHA256[name]:
            raise DataUnavailable(f"{name} in {path} is not MNIST's. {advice}")
    return _dataset("mnist", arrays["x_train"], arrays["y_train"], arrays["x_test"], arrays["y_test"])


def _dataset(name: str, *arrays: np.ndarray) -> Dataset:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64), name=name, sha256=digest.hexdigest()
    )


def _download(target: Path, on_progress: Callable[[float], None]) -> None:
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix="download-"))
    candidate = scratch / target.name
    try:
        for attempt in range(1, TRIES + 1):
            try:
                content = _fetch(on_progress)
                write_file(candidate, content)
                _read_mnist(candidate)  # a network that wants a sign-in answers with a page of its own
                break
            except (OSError, http.client.HTTPException, DataUnavailable) as error:
                if attempt == TRIES:
                    reason = "something else came" if isinstance(error, DataUnavailable) else error
                    raise DataUnavailable(
                        f"MNIST could not be downloaded ({reason}). Go online and try again, or put {MNIST_URL} "
                        f"at {target}, or name it in DIGIT_LAB_MNIST. Synthetic digits need no download."
                    ) from None
                time.sleep(attempt)
        with storing(target.parent):
            candidate.replace(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _fetch(on_progress: Callable[[float], None]) -> bytes:
    try:
        response = urllib.request.urlopen(MNIST_URL, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    with response:
        total = int(response.headers.get("Content-Length") or 11_490_434)
        content = bytearray()
        while chunk := response.read(2**18):
            content += chunk
            if len(content) > DOWNLOAD_BYTES:
                raise OSError("the file is larger than MNIST")
            on_progress(min(1.0, len(content) / total))
    return bytes(content)
