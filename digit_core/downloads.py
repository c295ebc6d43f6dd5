"""Files from the network into the data folder: checked by their content, gone on with where a download broke off."""

import contextlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from digit_core.errors import DataUnavailable
from digit_core.model_store import storing

TIMEOUT = 20.0  # seconds without an answer
LONGEST = 3600.0  # seconds of one try
TRIES = 3
LOCK_WAIT = 2.0  # seconds for another process to end its download
CHUNK = 2**18  # bytes
Content = TypeVar("Content")


def fetch(
    url: str,
    target: Path,
    most_bytes: int,
    read: Callable[[Path], Content],
    on_progress: Callable[[float], None],
    otherwise: str,
) -> Content:
    """Download a file to `target`, unless it is there already and good, and return what `read` makes of it.

    What has come stays beside it in a `.part` file, and the next try, or the next call, goes on from there. `read`
    raises DataUnavailable for a file that is not the one wanted; `on_progress` is told the share that has come, 0-1;
    `otherwise` says how to do without. Raises DataUnavailable after three tries, StorageFailed.
    """
    with storing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(target.with_name(f"{target.name}.lock")).acquire(timeout=LOCK_WAIT)
        except Timeout:
            raise DataUnavailable(f"{target.name} is being downloaded already. Wait, and try again.") from None
    part = target.with_name(f"{target.name}.part")
    with lock:
        with contextlib.suppress(DataUnavailable):
            return read(target)
        for attempt in range(1, TRIES + 1):
            try:
                _continue(url, part, most_bytes, on_progress)
                content = _take(part, read)
                break
            except (OSError, http.client.HTTPException) as error:
                if attempt == TRIES:
                    raise DataUnavailable(
                        f"{target.name} could not be downloaded ({error}). Go online and try again, or put {url} at "
                        f"{target}, or {otherwise}"
                    ) from None
                time.sleep(attempt)
        with storing(target.parent):
            part.replace(target)
        return content


def _take(part: Path, read: Callable[[Path], Content]) -> Content:
    """Read what came; throw it away if it is something else, like the page of a network that wants a sign-in."""
    try:
        return read(part)
    except DataUnavailable:
        part.unlink()
        raise OSError("something else came") from None


def _continue(url: str, part: Path, most_bytes: int, on_progress: Callable[[float], None]) -> None:
    """Append to a part what it lacks; start anew where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    deadline = time.monotonic() + LONGEST
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # all of it is there
    except ValueError as error:  # an address to which the server sends us on
        raise OSError(f"its address cannot be read: {error}") from error
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if re.fullmatch("[0-9]{1,15}", length) else None
        with storing(part.parent):
            file = part.open("ab" if have else "wb")
        with file:
            while chunk := response.read1(CHUNK):  # what has come, before a connection that breaks can take it along
                have += len(chunk)
                if have > most_bytes:
                    file.truncate(0)
                    raise OSError(f"the file is larger than {most_bytes / 1e6:.0f} MB")
                with storing(part.parent):
                    file.write(chunk)
                on_progress(min(1.0, have / (total or most_bytes)))
                if time.monotonic() > deadline:
                    raise OSError(f"it took longer than {LONGEST / 60:.0f} minutes")
        if total and have < total:
            raise OSError("the connection broke off")
