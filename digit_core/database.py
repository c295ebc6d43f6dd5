"""A database, SQLite or PostgreSQL: opened, brought to the tables of this version, its troubles told in a sentence.

The tables are made by the steps in `migrations/versions` (Alembic). On SQLite, which is one program's file, opening
takes them; on PostgreSQL, which others share, the operator does, by `python -m digit_core feedback migrate`.
"""

import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import exc

from digit_core.errors import FeedbackUnavailable

TIMEOUT = 10  # seconds that a call waits for another writer, or for a server
LONGEST_PAUSE = 0.01  # seconds until a writer asks again whether it is its turn
MIGRATIONS = Path(__file__).resolve().parent / "migrations"
MIGRATING = 20_260_301  # the number of PostgreSQL's lock that one migration at a time holds
ELSEWHERE = "or set DIGIT_LAB_DATABASE_URL to another place"
MIGRATE = "Back it up, then run `python -m digit_core feedback migrate` with the same DIGIT_LAB_DATABASE_URL."
BESIDE = "and the files beside it that end in -wal and -shm"
NO_TABLE, NO_TABLE_ON_SERVER, NOT_ALLOWED = "no such table", "42P01", "42501"  # the latter as in the SQL standard
TROUBLES = {
    sqlite3.SQLITE_BUSY: "is locked by another program. Close that program, or try again in a moment.",
    sqlite3.SQLITE_READONLY: f"cannot be written. Allow writing to the file and its folder, {ELSEWHERE}.",
    sqlite3.SQLITE_CANTOPEN: f"cannot be opened. Check that its folder is there and can be written, {ELSEWHERE}.",
    sqlite3.SQLITE_NOTADB: f"is no SQLite file. Move it away, {BESIDE}, so that a new one is made, {ELSEWHERE}.",
    sqlite3.SQLITE_CORRUPT: "is damaged. Stop this program, move the file away, "
    f"{BESIDE}, and put a backup in its place, {ELSEWHERE}.",
    sqlite3.SQLITE_FULL: "has no room left. Free some space on its disk and try again.",
    sqlite3.SQLITE_IOERR: f"cannot be read or written. Check that its disk is there and has room, {ELSEWHERE}.",
    NO_TABLE: "has lost its tables. Try again: they are made anew.",
    NO_TABLE_ON_SERVER: f"has not the tables of this version. {MIGRATE}",
    NOT_ALLOWED: "may not be used so by the user in its address. Have its owner grant what is missing: reading and "
    f"writing its tables, and for `feedback migrate` also making them, {ELSEWHERE}.",
}
BUGS = exc.DataError, exc.IntegrityError, exc.NotSupportedError, exc.ProgrammingError  # of ours, if not in TROUBLES


class Database:
    """Connections to one database; threads may share it.

    Every call, making it too, raises FeedbackUnavailable when the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._engine = _make_engine(url)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Lend a connection, commit what was done with it, and tell the database's troubles in a sentence."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (exc.DBAPIError, exc.TimeoutError) as error:
            cause = getattr(error, "orig", error)
            trouble = TROUBLES.get(_code(cause))
            if trouble is None and isinstance(error, BUGS):
                raise
            words = " ".join(str(cause).split())  # PostgreSQL's have line breaks
            trouble = trouble or f"cannot be used ({words}). Check that it is there and runs, {ELSEWHERE}."
            raise FeedbackUnavailable(f"{self} {trouble}") from error

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Lend a connection, as `transaction` does, that waits for other writers first."""
        with self.transaction() as connection:
            if self._engine.dialect.name == "sqlite":
                _take_turn(connection)
            yield connection

    def open(self) -> None:
        """See that the tables are those of this version, and make them so where the database is SQLite's."""
        with self.transaction() as connection:
            if self._is_current(connection):
                return
        if self._engine.dialect.name != "sqlite":
            raise FeedbackUnavailable(f"{self} {TROUBLES[NO_TABLE_ON_SERVER]}")
        self.migrate()

    def migrate(self) -> bool:
        """Take the steps to the tables of this version, all or none; tells whether there were any to take."""
        with self.writing() as connection:
            if self._engine.dialect.name != "sqlite":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATING)))
            if self._is_current(connection):
                return False
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
            command.upgrade(config, "head")
            return True

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def __str__(self) -> str:
        """Name it, without its password."""
        return f"The feedback database {self._engine.url.render_as_string(hide_password=True)}"

    def _is_current(self, connection: sa.Connection) -> bool:
        found = MigrationContext.configure(connection).get_current_revision()
        steps = ScriptDirectory(str(MIGRATIONS))
        if found and found not in {step.revision for step in steps.walk_revisions()}:
            raise FeedbackUnavailable(f"{self} was written by a newer version. Update this program, {ELSEWHERE}.")
        return found == steps.get_current_head()


def _take_turn(connection: sa.Connection) -> None:
    """Begin to write to SQLite. Of many who wait, its own timer, which asks ever less often, lets some starve."""
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    _insist(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * TIMEOUT:.0f}")


def _insist(ask: Callable[[], Any]) -> None:
    """Ask SQLite until it is not busy with others, for as long as TIMEOUT."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            ask()
        except (sqlite3.OperationalError, exc.OperationalError) as error:
            cause = getattr(error, "orig", error)
            if _code(cause) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 (no secret)
        else:
            return


def _code(error: BaseException | None) -> int | str:
    """What TROUBLES knows an error by: PostgreSQL's state, or SQLite's code without the bytes that hold details."""
    if state := getattr(error, "sqlstate", None):
        return str(state)
    return NO_TABLE if str(error).startswith(NO_TABLE) else getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make_engine(url: str) -> sa.Engine:
    try:
        address = sa.make_url(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
        on_sqlite = address.get_backend_name() == "sqlite"
        options = {"timeout": TIMEOUT} if on_sqlite else {"connect_timeout": TIMEOUT, "options": "-c timezone=utc"}
        # A file that is taken away must not be written on by a connection that still holds it.
        pooling = {"poolclass": sa.NullPool} if on_sqlite else {}
        engine = sa.create_engine(address, connect_args=options, pool_pre_ping=True, **pooling)
        if on_sqlite and not (address.database or "").startswith("file:"):
            Path(address.database or "").parent.mkdir(parents=True, exist_ok=True)
    except (exc.ArgumentError, ImportError, ValueError) as error:  # not quoted: it may hold a part of the password
        raise FeedbackUnavailable(
            "DIGIT_LAB_DATABASE_URL is not set to a database that this program knows. Write sqlite:///FILE, or install "
            "psycopg and write postgresql://USER:PASSWORD@HOST/NAME."
        ) from error
    except OSError as error:
        raise FeedbackUnavailable(f"The feedback's folder cannot be made ({error}). Make it, {ELSEWHERE}.") from error
    if on_sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    # SQLite's own timer does not count where two change the mode at once.
    _insist(lambda: connection.execute("PRAGMA journal_mode=WAL"))
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
