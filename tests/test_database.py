import hashlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer
from uuid import uuid4

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from click.testing import CliRunner

from digit_core import database
from digit_core.cli import main
from digit_core.database import Database
from digit_core.errors import FeedbackUnavailable
from digit_core.feedback import FeedbackStore
from digit_core.selection import Selection
from digit_core.tables import ANSWER, FEEDBACK, TABLES

ENTRY = {
    "id": "00000000-0000-4000-8000-000000000000",
    "created_at": datetime(2026, 3, 1, tzinfo=UTC),
    "session_id": "session",
    "input_kind": "canvas",
    "source": "dashboard",
    "comment": "from before",
    "strokes": "[]",
    "image": bytes(784),
}
MIGRATIONS = database.MIGRATIONS
BROKEN = """
from alembic import op
revision, down_revision = "0002", "0001"
def upgrade():
    op.execute("create table half (done int)")
    op.execute("this is no statement")
"""


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    with closing(Database(empty_url)) as made:
        yield made


def tables(of: Database) -> set[str]:
    with of.transaction() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_the_steps_lead_to_the_tables_that_the_program_uses(empty):
    assert empty.migrate()
    with empty.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, TABLES) == []


def test_steps_are_taken_once(empty):
    assert [empty.migrate(), empty.migrate()] == [True, False]


def test_programs_that_migrate_at_once_wait_for_each_other(empty_url):
    def migrate(_: int) -> bool:
        with closing(Database(empty_url)) as one:
            return one.migrate()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(migrate, range(4))) == [False, False, False, True]


def test_a_new_file_that_another_program_is_about_to_write_is_waited_for(tmp_path):
    with closing(sqlite3.connect(tmp_path / "new.sqlite3", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        end = Timer(0.3, other.commit)
        end.start()
        with closing(Database(f"sqlite:///{tmp_path}/new.sqlite3")) as one, one.transaction() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        end.join()


def test_a_user_who_may_not_is_told_what_to_have_granted(postgres):
    from postgres import make_database

    with closing(Database(url := make_database(postgres))) as owned:
        with owned.transaction() as connection:
            connection.exec_driver_sql("create role guest login")
            connection.exec_driver_sql("revoke create on schema public from public")
        with closing(Database(url.replace("tests@", "guest@"))) as guest:
            with pytest.raises(FeedbackUnavailable, match="may not be used so by the user"):
                guest.migrate()
            owned.migrate()
            with pytest.raises(FeedbackUnavailable, match="may not be used so"):
                guest.open()


def test_tables_that_are_dropped_while_they_are_used_are_told(empty):
    empty.migrate()
    with empty.transaction() as connection:
        connection.exec_driver_sql("drop table answer")
    with pytest.raises(FeedbackUnavailable, match=r"lost its tables|not the tables"), empty.transaction() as connection:
        connection.execute(sa.select(ANSWER))


@pytest.fixture
def first_step(tmp_path, monkeypatch) -> Path:
    """The folder of steps, of which there is only the first while the test wants it."""
    steps = tmp_path / "migrations"
    (steps / "versions").mkdir(parents=True)
    for name in ("env.py", "versions/0001_feedback.py"):
        (steps / name).write_bytes((database.MIGRATIONS / name).read_bytes())
    monkeypatch.setattr(database, "MIGRATIONS", steps)
    return steps


def test_a_step_that_fails_leaves_nothing_behind(empty, first_step):
    (first_step / "versions" / "0002_broken.py").write_text(BROKEN)
    with pytest.raises((FeedbackUnavailable, sa.exc.ProgrammingError)):
        empty.migrate()
    assert tables(empty) == set()


@pytest.mark.parametrize("has_record", [False, True], ids=["before there were steps", "after the first step"])
def test_an_older_database_is_taken_on_with_what_it_holds(empty, empty_url, first_step, monkeypatch, has_record):
    empty.migrate()
    with empty.transaction() as connection:
        feedback = sa.Table("feedback", sa.MetaData(), autoload_with=connection)
        connection.execute(
            sa.insert(feedback), [ENTRY | {"id": uuid4().hex, "image": bytes([i % 256]) * 784} for i in range(2500)]
        )
        if not has_record:
            connection.execute(sa.text("drop table alembic_version"))
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    assert empty.migrate()
    with closing(FeedbackStore(empty_url)) as store:
        assert store.count() == 2500 and store.list(1)[0].comment == ENTRY["comment"]
        assert store.count(Selection(doubt="blank")) == 50  # images of 0 to 4 of 255, ten of each
    with empty.transaction() as connection:
        digests = connection.scalars(sa.select(FEEDBACK.c.digest).distinct()).all()
    assert set(digests) == {hashlib.sha256(bytes([i]) * 784).hexdigest() for i in range(256)}


def test_sqlite_is_made_ready_by_opening_it(tmp_path):
    with closing(FeedbackStore(f"sqlite:///{tmp_path / 'a %20 b.sqlite3'}")) as store:
        assert store.stats().total == 0


def test_postgresql_is_made_ready_by_command(postgres, monkeypatch):
    from postgres import make_database

    url = make_database(postgres)
    with pytest.raises(FeedbackUnavailable, match=r"has not the tables .* run `python -m digit_core feedback migrate`"):
        FeedbackStore(url)
    monkeypatch.setenv("DIGIT_LAB_DATABASE_URL", url)
    said = [CliRunner().invoke(main, ["feedback", "migrate"]).output for _ in range(2)]
    assert [text.split(" has ")[1] for text in said] == ["now the tables of this version.\n"] * 2
    with closing(FeedbackStore(url)) as store:
        assert store.stats().total == 0


def test_a_database_of_a_newer_version_is_left_alone(empty, empty_url):
    empty.migrate()
    with empty.transaction() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(FeedbackUnavailable, match=r"newer version\. Update this program"):
        FeedbackStore(empty_url)
    with pytest.raises(FeedbackUnavailable, match="newer version"):
        empty.migrate()


def test_a_server_that_is_not_there_is_told_without_its_password():
    with pytest.raises(FeedbackUnavailable, match=r"cannot be used .* Check that it is there and runs") as told:
        FeedbackStore("postgresql://somebody:secret@127.0.0.1:1/feedback")
    assert "secret" not in str(told.value)


def test_a_locked_file_is_told_when_it_would_be_migrated(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "TIMEOUT", 0.05)
    file = tmp_path / "feedback.sqlite3"
    with closing(sqlite3.connect(file)) as other:
        other.execute("pragma journal_mode=wal")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(FeedbackUnavailable, match="is locked by another program"):
            FeedbackStore(f"sqlite:///{file}")
