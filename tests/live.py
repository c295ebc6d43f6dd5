"""A server of the tests' own."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from digit_core.settings import ROOT, Settings, read_settings

START_UP = 120  # seconds
STREAMLIT = ("streamlit", "run", "streamlit_app.py", "--server.port=PORT", "--server.address=127.0.0.1")
UVICORN = ("uvicorn", "streamlit_app:app", "--port=PORT", "--no-access-log")


@dataclass(frozen=True)
class Server:
    """A running app: its address, where it keeps its things, what it said, and its process."""

    url: str
    settings: Settings
    log: Path
    process: subprocess.Popen[bytes]


@contextmanager
def run_server(folder: Path, variables: dict[str, str], command: tuple[str, ...] = STREAMLIT) -> Iterator[Server]:
    """Run a server that keeps its things in a folder, and lend it once it answers."""
    port = find_port()
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", *(word.replace("PORT", str(port)) for word in command)]
    log = folder / "server.log"
    with log.open("ab") as said:
        process = subprocess.Popen(words, cwd=ROOT, env=os.environ | variables, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + START_UP
        while not _is_healthy(url):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The server did not start. It said: {log.read_text()}")
            time.sleep(0.1)
        yield Server(url, read_settings(variables), log, process)
    finally:
        process.terminate()
        process.wait(30)


def find_lines(server: Server, words: str) -> list[str]:
    """The lines of a server's log that hold some words, when there are any."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if lines := [line for line in server.log.read_text().splitlines() if words in line]:
            return lines
        time.sleep(0.05)
    return []


def find_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/health", timeout=5):
            return True
    except OSError:
        return False
