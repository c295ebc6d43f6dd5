"""The app as people meet it: a server of its own, a real Chromium, and no fault that goes unseen.

Chromium is the system's: `apt-get install chromium`, or its path in the variable CHROMIUM.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from live import Server, run_server

from digit_core.feedback import FeedbackStore
from digit_core.strokes import render
from digit_core.types import Drawing, Feedback

if TYPE_CHECKING:  # Playwright may be missing: the tests skip then, this file does not
    from visitor import Visitor

Isolate = Callable[[Path], dict[str, str]]
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and run them last: Playwright keeps an event loop, which forbids others theirs."""

    def here(item: pytest.Item) -> bool:
        return Path(__file__).parent in item.path.parents

    for item in filter(here, items):
        item.add_marker("browser")
    items.sort(key=here)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("Run `apt-get install chromium`, or set CHROMIUM to the path of a Chromium or Chrome.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(
    isolate: Isolate, lend_bank: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server that the tests share."""
    folder = tmp_path_factory.mktemp("server")
    lend_bank(folder / "data")
    with run_server(folder, isolate(folder)) as server:
        yield server


@pytest.fixture
def fresh_server(isolate: Isolate, tmp_path: Path) -> Iterator[Server]:
    """A server that nobody has visited."""
    with run_server(tmp_path, isolate(tmp_path)) as server:
        yield server


@pytest.fixture
def guarded_server(isolate: Isolate, tmp_path: Path) -> Iterator[Server]:
    """A server whose operator's password is "open sesame"."""
    with run_server(tmp_path, isolate(tmp_path) | {"DIGIT_LAB_ADMIN_PASSWORD": "open sesame"}) as server:
        yield server


@pytest.fixture
def lived_in(
    server: Server, keep_run: Callable[..., Path], handwriting: dict[int, tuple[np.ndarray, ...]]
) -> Iterator[None]:
    """A server where somebody has trained a network and misread drawings were told."""
    done = ("queued", "started", "batch", "epoch", "finished")
    keep_run("cnn-20261121-070000", *done, message="97.50 % of 2,000 test images", settings=server.settings)
    answers = tuple({"model_id": name, "sha256": "0" * 64, "digit": 1, "confidence": 0.9} for name in ("cnn", "ann"))
    entries = []
    for digit in range(2, 10):
        strokes = handwriting[digit]
        entry = (str(uuid.uuid4()), datetime.now(UTC), "somebody", Drawing(strokes), "canvas", render(strokes))
        entries.append(Feedback(*entry, answers, digit))
    with closing(FeedbackStore(server.settings.database_url)) as store:
        store.add_all(entries)
        yield
        for each in entries:
            store.delete(store.get(each.id))


@pytest.fixture
def visit(chromium: Any, server: Server) -> Iterator[Callable[..., "Visitor"]]:
    """Let somebody open a page: `visit("/train", width=390, height=844, touch=True)`. Each is a person of their own.

    The test fails when a visitor saw an exception, the console told an error, another host was asked, or the server
    logged a traceback. A server of one's own is asked for before `visit`, so that it outlives its visitors.
    """
    from visitor import Visitor

    visitors: list[Visitor] = []
    before = {server: server.log.stat().st_size}

    def arrive(path: str = "/", server: Server = server, **screen: Any) -> "Visitor":
        before.setdefault(server, 0)
        visitors.append(Visitor(chromium, server.url, **screen))
        return visitors[-1].go(path)

    yield arrive
    faults = [fault for visitor in visitors for fault in visitor.leave()]
    for visited, size in before.items():
        said = visited.log.read_bytes()[size:].decode(errors="replace")
        if "Traceback" in said:
            faults.append(f"The server said: {said}")
    assert not faults, "\n".join(faults)
