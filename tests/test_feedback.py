import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from entries import NOON, PICTURE, STROKES, say
from sqlalchemy import Engine, event

from digit_core import database as database_module
from digit_core.errors import DigitError, EmptyDrawing, FeedbackChanged, FeedbackUnavailable, TooLarge, UnreadableInput
from digit_core.feedback import FeedbackStore
from digit_core.selection import Selection
from digit_core.types import Drawing, Feedback

ROOT = Path(__file__).resolve().parent.parent
MISREAD = Selection(verdict="wrong")


def address(file: Path, query: str = "") -> str:
    return f"sqlite:///{file}{query}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "feedback.sqlite3"


def test_an_entry_comes_back_as_it_was_given(store):
    said = say(7, 1, 7, visitor="Zoë", comment="a seven\nwith a bar ✍", source="api", input_kind="api")
    store.add(said)
    got = store.get(said.id)
    for name in set(vars(said)) - {"drawing", "image"}:
        assert getattr(got, name) == getattr(said, name), name
    assert got.image.dtype == np.uint8 and np.array_equal(got.image, said.image)


def test_strokes_come_back_to_the_last_bit(store):
    store.add(said := say(7, 7))
    got = store.get(said.id).drawing
    assert [stroke.tobytes() for stroke in got.strokes] == [stroke.tobytes() for stroke in STROKES]
    assert [stroke.shape for stroke in got.strokes] == [(2, 2), (1, 2)]
    assert got.strokes[0].dtype == np.float64 and got.image is None


@pytest.mark.parametrize("picture", [PICTURE, PICTURE[::-2, ::3], PICTURE[:1, :1]])
def test_a_picture_comes_back_pixel_by_pixel(store, picture):
    store.add(said := say(7, 7, drawing=Drawing(image=picture)))
    got = store.get(said.id).drawing
    assert got.strokes == () and got.image.dtype == np.uint8 and np.array_equal(got.image, picture)


def test_times_come_back_in_utc(store):
    india = timezone(timedelta(hours=5, minutes=30))
    store.add(said := say(7, 7, created_at=datetime(2026, 3, 1, 2, 0, 0, 123456, india)))
    got = store.get(said.id).created_at
    assert got == said.created_at and got.tzinfo is UTC


def test_numbers_of_numpy_are_numbers(store):
    answer = {"model_id": "ann", "sha256": "", "digit": np.int64(3), "confidence": np.float32(0.5)}
    store.add(said := say(np.int64(7), answers=(answer,)))
    assert (store.get(said.id).true_digit, store.get(said.id).answers[0]["digit"]) == (7, 3)


def test_a_repeat_is_the_same_entry(store):
    first = say(7, 1)
    store.add(first)
    store.add(replace(say(3, 3), id=first.id))
    assert [entry.true_digit for entry in store.list()] == [7]
    assert store.get(first.id).answers == first.answers


def test_an_id_is_the_same_however_it_is_written(store):
    store.add(said := say(7, 7))
    store.add(replace(said, id="{" + said.id.upper() + "}"))
    assert [entry.id for entry in store.list()] == [said.id] == [store.get(UUID(said.id).hex).id]


def test_a_repeat_does_not_bring_back_what_was_deleted(store):
    store.add(said := say(7, 7))
    store.delete(said)
    store.add(said)
    assert store.list() == [] and store.get(said.id).deleted_at is not None


def test_a_broken_entry_leaves_nothing_behind(store):
    broken = say(7, 7, answers=({"model_id": "ann", "sha256": None, "digit": 7, "confidence": 1.0},))
    with pytest.raises(Exception, match=r"(?i)not.null") as caught:
        store.add(broken)
    assert not isinstance(caught.value, DigitError), "a bug must not pass for a trouble of the database"
    assert store.list() == []


def test_threads_and_stores_that_say_the_same_at_once_make_one_entry_each(store, url):
    said = [say(7, 1, 7) for _ in range(5)]
    with closing(FeedbackStore(url)) as other, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: job[0].add(job[1]), [(s, entry) for entry in said for s in (store, other) * 4]))
    assert sorted(entry.id for entry in store.list()) == sorted(entry.id for entry in said)
    assert store.stats().by_model == {"ann": (5, 0), "cnn": (5, 5)}


def test_stores_that_open_a_new_file_at_once_all_open_it(file):
    start = threading.Barrier(4)

    def open_and_add(_: int) -> None:
        start.wait()
        with closing(FeedbackStore(address(file))) as store:
            store.add(say(7, 7))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(open_and_add, range(4)))
    with closing(FeedbackStore(address(file))) as store:
        assert store.stats().total == 4


def test_a_deleted_entry_is_out_of_lists_and_counts_until_it_is_restored(store):
    store.add(said := say(7, 1))
    gone = store.delete(said)
    assert store.list() == store.list(which=MISREAD) == []
    assert store.stats().total == 0 and store.stats().by_model == {}
    store.restore(gone)
    assert store.get(said.id).deleted_at is None
    assert len(store.list()) == store.stats().total == 1


def test_a_deleted_entry_knows_when(store):
    store.add(said := say(7, 7))
    before = datetime.now(UTC)
    store.delete(said)
    assert before <= store.get(said.id).deleted_at <= datetime.now(UTC)


@pytest.mark.parametrize("call", [lambda s, entry: s.get(entry.id), FeedbackStore.delete, FeedbackStore.restore])
def test_an_unknown_id_is_told(store, call: Callable[[FeedbackStore, Feedback], Any]):
    with pytest.raises(UnreadableInput, match=r"no feedback with the id .* from the list"):
        call(store, say(7))
    with pytest.raises(UnreadableInput, match=r"'x' is no UUID"):
        call(store, say(7, id="x"))


def test_the_newest_comes_first_page_by_page(store):
    for minute in (3, 0, 4, 1, 2):
        store.add(say(minute, 0, 1, minute=minute))
    pages = [store.list(limit=2, offset=offset) for offset in (0, 2, 4, 6)]
    assert [[entry.true_digit for entry in page] for page in pages] == [[4, 3], [2, 1], [0], []]
    assert [answer["model_id"] for answer in pages[0][1].answers] == ["ann", "cnn"]


def test_pages_of_one_moment_overlap_in_nothing(store):
    for _ in range(6):
        store.add(say(7, 7))
    ids = [entry.id for offset in (0, 2, 4) for entry in store.list(2, offset)]
    assert len(set(ids)) == 6


def test_many_are_added_at_once_and_known_ones_once(store):
    first, second = say(7, 1, 7), say(3)
    store.add(first)
    assert store.add_all([first, second, second]) == 1
    assert [len(entry.answers) for entry in store.list()] in ([2, 0], [0, 2])
    assert store.add_all([]) == 0


def test_many_that_hold_one_broken_entry_are_not_added(store):
    with pytest.raises(UnreadableInput):
        store.add_all([say(7), say(11)])
    assert store.count() == 0


def test_a_label_is_corrected_and_the_correction_taken_back(store):
    store.add(said := say(7, 1, 1))
    now = store.review(said, 1)
    assert store.get(said.id).true_digit == 1 and store.get(said.id).reviewed_at == now.reviewed_at is not None
    store.change(now, said)
    assert (store.get(said.id).true_digit, store.get(said.id).reviewed_at) == (7, None)
    store.review(said, None)
    assert store.get(said.id).true_digit is None and store.get(said.id).judged
    with pytest.raises(UnreadableInput, match="is 11"):
        store.review(store.get(said.id), 11)


def test_what_somebody_else_has_changed_since_it_was_seen_stays_as_they_left_it(store):
    store.add(seen := say(7, 1))
    mine = store.review(seen, 1)
    theirs = store.review(mine, 3)
    for change in (lambda: store.change(mine, seen), lambda: store.review(seen, 7), lambda: store.delete(mine)):
        with pytest.raises(FeedbackChanged, match="since you saw it"):
            change()
    assert store.get(seen.id).true_digit == 3
    gone = store.delete(theirs)
    with pytest.raises(FeedbackChanged):
        store.review(theirs, 1)
    assert store.get(seen.id).deleted_at == gone.deleted_at


def test_visitors_are_those_whose_entries_are_there(store):
    store.add_all([say(7, visitor="Zoë"), say(7, visitor="5b"), say(3, visitor="Zoë"), say(1)])
    store.add(gone := say(2, visitor="nobody"))
    store.delete(gone)
    assert store.visitors() == ["5b", "Zoë"]


def test_models_are_those_that_answered(store):
    assert store.models() == [] and store.is_empty()
    store.add_all([say(7, 1, 7), say(3, 3), say(1)])
    assert store.models() == ["ann", "cnn"] and not store.is_empty()


def test_a_store_whose_entries_are_all_deleted_is_not_empty(store):
    store.add(say(7, 7, deleted_at=NOON))
    assert store.count() == 0 and not store.is_empty()


def test_entries_survive_a_new_opening_in_a_new_folder(tmp_path):
    url = address(tmp_path / "new" / "folder" / "feedback.sqlite3")
    with closing(FeedbackStore(url)) as store:
        store.add(said := say(7, 1))
    with closing(FeedbackStore(url)) as store:
        assert store.get(said.id).answers == said.answers


def test_what_add_returned_from_survives_the_kill_of_its_process(url):
    program = f"""
from entries import say
from digit_core.feedback import FeedbackStore
store = FeedbackStore({url!r})
while True:
    store.add(entry := say(7, 1, 7))
    print(entry.id, flush=True)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        told = [writer.stdout.readline().strip() for _ in range(10)]
        writer.kill()
    with closing(FeedbackStore(url)) as store:
        assert all(len(store.get(feedback_id).answers) == 2 for feedback_id in told)


@pytest.mark.slow
def test_sixteen_processes_write_hundreds_of_entries_each_at_once(url, thorough):
    each = 1000 if thorough else 250
    program = f"""
from entries import say
from digit_core.feedback import FeedbackStore
store = FeedbackStore({url!r})
for _ in range({each}):
    store.add(say(7, 1, 7))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", program]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(16)]
    assert [writer.communicate()[1] for writer in writers] == [""] * 16
    with closing(FeedbackStore(url)) as store:
        assert store.stats().by_model == {"ann": (16 * each, 0), "cnn": (16 * each, 16 * each)}


def test_every_connection_of_sqlite_is_durable_and_keeps_answers_with_their_entry(file):
    found = []

    def look(connection: sqlite3.Connection, *_: Any) -> None:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        found.append([connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names])

    event.listen(Engine, "checkout", look)
    try:
        FeedbackStore(address(file)).close()
    finally:
        event.remove(Engine, "checkout", look)
    assert {*map(tuple, found)} == {("wal", 2, 1, 10_000)}  # 2: FULL


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"true_digit": 10}, UnreadableInput, r"is 10\. Give 0 to 9"),
        ({"true_digit": -1}, UnreadableInput, "Give 0 to 9"),
        ({"true_digit": True}, UnreadableInput, "is True"),
        ({"true_digit": "7"}, UnreadableInput, "is '7'"),
        ({"id": "seven"}, UnreadableInput, "'seven' is no UUID"),
        ({"id": 7}, UnreadableInput, "7 is no UUID"),
        ({"created_at": datetime(2026, 3, 1)}, UnreadableInput, "no time zone. Give it in UTC"),
        ({"deleted_at": datetime(2026, 3, 1)}, UnreadableInput, "no time zone"),
        ({"image": np.zeros((28, 27), np.uint8)}, UnreadableInput, r"is \(28, 27\) uint8. Give \(28, 28\) uint8"),
        ({"image": np.zeros((28, 28), np.float32)}, UnreadableInput, "float32"),
        ({"comment": "x" * 1001}, UnreadableInput, "comment has 1,001 characters. Write at most 1,000"),
        ({"comment": "\ud800"}, UnreadableInput, "cannot be stored"),
        ({"visitor": "x" * 61}, UnreadableInput, "nickname has 61 characters. Write at most 60"),
        ({"visitor": "Zo\0"}, UnreadableInput, "cannot be stored"),
        ({"drawing": Drawing()}, EmptyDrawing, "neither strokes nor a picture"),
        ({"drawing": Drawing((np.zeros((3, 3)),))}, UnreadableInput, "shape"),
        ({"drawing": Drawing((np.array([[0, np.nan]]),))}, UnreadableInput, "finite"),
        ({"drawing": Drawing((np.zeros((10_001, 2)),))}, TooLarge, "10,001 points"),
        ({"drawing": Drawing(image=np.zeros((9, 9, 3), np.uint8))}, UnreadableInput, r"picture is \(9, 9, 3\) uint8"),
        ({"drawing": Drawing(image=np.zeros((9, 9)))}, UnreadableInput, "float64"),
        ({"drawing": Drawing(image=np.zeros((0, 9), np.uint8))}, UnreadableInput, r"\(0, 9\)"),
        ({"answers": ({"model_id": "a", "sha256": "", "digit": 11, "confidence": 1},)}, UnreadableInput, "is 11"),
    ],
)
def test_a_value_that_cannot_be_is_refused(store, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        store.add(say(**{"true_digit": 7} | changes))
    assert store.list() == []


def test_what_is_just_short_enough_is_stored(store):
    store.add(said := say(7, 7, visitor="x" * 60, comment="✍" * 1000))
    assert store.get(said.id).comment == said.comment


@pytest.mark.parametrize("call", [lambda s: s.add(say(7, 7)), lambda s: s.delete(say(7))])
def test_a_locked_database_is_told_and_works_again_when_free(file, monkeypatch, call):
    monkeypatch.setattr(database_module, "TIMEOUT", 0.05)
    with closing(FeedbackStore(address(file))) as store, closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(FeedbackUnavailable, match=r"feedback\.sqlite3 is locked by another program\. Close"):
            call(store)
        assert store.list() == [], "reading does not wait for a writer"
        other.rollback()
        store.add(say(7, 7))


def test_a_database_locked_while_it_is_opened_is_told(file, monkeypatch):
    monkeypatch.setattr(database_module, "TIMEOUT", 0.05)
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(FeedbackUnavailable, match="locked"):
            FeedbackStore(address(file))


def test_a_read_only_database_is_read_but_not_written(file):
    with closing(FeedbackStore(address(file))) as store:
        store.add(said := say(7, 7))
    with closing(FeedbackStore(f"sqlite:///file:{file}?mode=ro&uri=true")) as reader:
        assert reader.get(said.id).true_digit == reader.stats().total + 6 == 7
        for write in (lambda: reader.add(say(7, 7)), lambda: reader.delete(said)):
            with pytest.raises(FeedbackUnavailable, match=r"cannot be written\. Allow writing"):
                write()


def test_a_new_database_that_may_not_be_written_is_told(file):
    sqlite3.connect(file).close()
    with pytest.raises(FeedbackUnavailable, match=r"cannot be (written|opened)"):
        FeedbackStore(f"sqlite:///file:{file}?mode=ro&uri=true")


def test_a_file_that_is_no_database_is_told_and_left_alone(file):
    file.write_bytes(b"not a database, but somebody's letter. " * 50)
    with pytest.raises(FeedbackUnavailable, match=r"is no SQLite file\. Move it away"):
        FeedbackStore(address(file))
    assert file.read_bytes().startswith(b"not a database")


def test_a_database_that_is_damaged_while_it_is_used_is_told(file):
    with closing(FeedbackStore(address(file))) as store:
        for _ in range(20):
            store.add(say(7, 1, 7))
    head, rest = file.read_bytes()[:4096], file.stat().st_size - 4096
    with closing(FeedbackStore(address(file))) as store:
        file.write_bytes(head + b"\xff" * rest)
        for call in (store.list, store.stats, lambda: store.add(say(7, 7))):
            with pytest.raises(FeedbackUnavailable, match=r"is damaged\. Stop this program, move the file away"):
                call()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FeedbackUnavailable, match=r"folder cannot be made .*file.* Make it, or set"):
        FeedbackStore(address(tmp_path / "file" / "feedback.sqlite3"))


def test_a_folder_in_the_place_of_the_file_is_told(tmp_path):
    with pytest.raises(FeedbackUnavailable, match=r"cannot be opened\. Check"):
        FeedbackStore(address(tmp_path))


def test_a_full_database_is_told_and_keeps_what_it_has(file):
    def limit(connection: sqlite3.Connection, _: Any) -> None:
        connection.execute("PRAGMA max_page_count = 30")

    event.listen(Engine, "connect", limit)
    try:
        with closing(FeedbackStore(address(file))) as store:
            store.add(first := say(7, 7))
            with pytest.raises(FeedbackUnavailable, match=r"has no room left\. Free some space"):
                store.add(say(7, 7, drawing=Drawing(image=np.tile(PICTURE, (20, 20)))))
            assert [entry.id for entry in store.list()] == [first.id]
    finally:
        event.remove(Engine, "connect", limit)


@pytest.mark.parametrize(
    "url", ["", "feedback.sqlite3", "nosuch://host/name", "postgresql://user:secret@host:port/name"]
)
def test_an_address_of_no_database_is_told_without_its_password(url):
    with pytest.raises(FeedbackUnavailable, match=r"DIGIT_LAB_DATABASE_URL .* Write sqlite:///FILE") as told:
        FeedbackStore(url)
    assert "secret" not in str(told.value)


def test_a_database_that_was_taken_away_is_told_and_not_written_on(tmp_path):
    path = tmp_path / "feedback.sqlite3"
    store = FeedbackStore(f"sqlite:///{path}")
    for file in tmp_path.glob("feedback.sqlite3*"):
        file.unlink()
    with pytest.raises(FeedbackUnavailable):
        store.stats()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"judged": False}, "nobody judged has no true digit"),
        ({"answers": ({"model_id": "ann", "sha256": "", "digit": 1, "confidence": 0.5},) * 2}, "answered twice"),
        (
            {"answers": ({"model_id": "![x](https://host/p.png)", "sha256": "", "digit": 1, "confidence": 0.5},)},
            "names no model",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(store, changes, sentence):
    with pytest.raises(UnreadableInput, match=sentence):
        store.add(say(7, **changes))


def test_what_nobody_judged_is_not_trained_on(store):
    store.add_all([say(7, 7), say(None, 4, judged=False)])
    assert store.images()[1].tolist() == [7]


def test_two_who_add_the_same_many_at_once_add_them_once(store, url):
    said = [say(7, 1, 7) for _ in range(60)]
    with closing(FeedbackStore(url)) as other, ThreadPoolExecutor(4) as pool:
        added = pool.map(lambda each: each.add_all(said), (store, other) * 2)
        assert sum(added) == 60
    assert store.count() == 60 and store.stats().by_model == {"ann": (60, 0), "cnn": (60, 60)}
