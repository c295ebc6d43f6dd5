"""Files from the network into the data folder: checked by their content, gone on with where a download broke off."""

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from digit_core.errors import DataUnavailable
from digit_core.model_store import storing

TIMEOUT = 20.0  # seconds without an answer
TRIES = 3
LOCK_WAIT = 2.0  # seconds for another process to end its download
CHUNK = 2**18  # bytes


def fetch(
    url: str, target: Path, most_bytes: int, check: Callable[[Path], object], on_progress: Callable[[float], None]
) -> None:
    """Download a file to `target`, unless it is there already and good.

    What has come stays beside it in a `.part` file, and the next try, or the next call, goes on from there. `check`
    raises DataUnavailable for a file that is not the one wanted; `on_progress` is told the share that has come, 0-1.
    Raises DataUnavailable after three tries, StorageFailed.
    """
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=LOCK_WAIT)
        except Timeout:
            raise DataUnavailable(f"{target.name} is being downloaded already. Wait, and try again.") from None
    with lock:
        if not _is_good(target, check):
            _fetch(url, target, most_bytes, check, on_progress)


@contextlib.contextmanager
def advising(url: str, target: Path, otherwise: str) -> Iterator[None]:
    """Add to a DataUnavailable how to come by the file, and how to do without."""
    try:
        yield
    except DataUnavailable as error:
        raise DataUnavailable(f"{error} Go online and try again, or put {url} at {target}, or {otherwise}") from None


def _fetch(
    url: str, target: Path, most_bytes: int, check: Callable[[Path], object], on_progress: Callable[[float], None]
) -> None:
    part = target.with_name(f"{target.name}.part")
    for attempt in range(1, TRIES + 1):
        try:
            _continue(url, part, most_bytes, on_progress)
            if not _is_good(part, check):  # a network that wants a sign-in answers with a page of its own
                part.unlink()
                raise OSError("something else came")
            break
        except (OSError, http.client.HTTPException) as error:
            if attempt == TRIES:
                raise DataUnavailable(f"{target.name} could not be downloaded ({error}).") from None
            time.sleep(attempt)
    with storing(target.parent):
        part.replace(target)


def _is_good(path: Path, check: Callable[[Path], object]) -> bool:
    try:
        check(path)
    except DataUnavailable:
        return False
    return True


def _continue(url: str, part: Path, most_bytes: int, on_progress: Callable[[float], None]) -> None:
    """Append to a part what it lacks; start anew where the server cannot go on."""
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # all of it is there
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        total = done + int(response.headers.get("Content-Length") or most_bytes)
        with storing(part.parent):
            file = part.open("ab" if done else "wb")
        with file:
            while chunk := response.read(CHUNK):
                done += len(chunk)
                if done > most_bytes:
                    file.truncate(0)
                    raise OSError(f"the file is larger than {most_bytes / 1e6:.0f} MB")
                with storing(part.parent):
                    file.write(chunk)
                on_progress(min(1.0, done / total))
        if done < total and "Content-Length" in response.headers:
            raise OSError("the connection broke off")
