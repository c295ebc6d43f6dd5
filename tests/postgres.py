"""A PostgreSQL server of the tests' own, on loopback, which is gone after them."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

NAME = "feedback"
_numbers = count(1)


def find_programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, of the newest version on this machine."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


@contextmanager
def run_server(programs: Path) -> Iterator[str]:
    """Run a server and lend its address, `postgresql://...`, up to the name of a database."""
    user = "postgres" if os.name == "posix" and os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user:
        shutil.chown(folder, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [programs / "pg_ctl", "-D", folder / "data", "-w"]
    places = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=100"
    places += " -c timezone=Asia/Kolkata"  # not what the program counts days in
    make = [programs / "initdb", "-D", folder / "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"]
    try:
        subprocess.run(make, user=user, cwd=folder, check=True, capture_output=True)
        start = [*control, "-l", folder / "log", "-o", places, "start"]
        subprocess.run(start, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        yield f"postgresql://tests@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], user=user, cwd=folder, check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def make_database(server: str) -> str:
    """Make an empty database and return its address."""
    name = f"{NAME}_{next(_numbers)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    return f"{server}/{name}"
