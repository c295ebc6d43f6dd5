"""What people said of their drawings, kept in a database: SQLite, or PostgreSQL with the same statements.

An entry is written once. Afterwards its label may be corrected or confirmed, and it may be deleted, which can be
undone. The client chooses the id, so that sending twice is saying once. Listing walks one index from the newest entry
on; counting reads that index and the narrow table of answers: drawings stay untouched.
"""

import builtins
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy import exc

from digit_core.database import Database
from digit_core.errors import FeedbackChanged, FeedbackUnavailable, UnreadableInput
from digit_core.feedback_stats import FeedbackStats, count_feedback
from digit_core.selection import ALL, Selection
from digit_core.strokes import SIDE
from digit_core.tables import ANSWER, ENTRIES, FEEDBACK, to_digit, to_feedback, to_id, to_rows
from digit_core.types import Feedback, Prediction

CHUNK = 200  # entries in memory
CHANGING = ("true_digit", "judged", "reviewed_at", "deleted_at")
SHARED = 4  # stores that stay open
_shared: dict[str, "FeedbackStore"] = {}
_sharing = threading.Lock()
NEWEST_FIRST = (FEEDBACK.c.created_at.desc(), FEEDBACK.c.id.desc())


class FeedbackStore:
    """The feedback in one database; threads may share it.

    Every call, opening too, raises FeedbackUnavailable when the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)
        try:
            self._database.open()
        except FeedbackUnavailable:
            self._database.close()
            raise

    def add(self, feedback: Feedback) -> None:
        """Store an entry, durable on return; a known id changes nothing, even where it was deleted.

        Raises UnreadableInput when a value is not what `Feedback` says, EmptyDrawing without strokes and picture.
        """
        entry, answers = to_rows(feedback)
        try:
            with self._database.writing() as connection:
                connection.execute(sa.insert(FEEDBACK), entry)
                if answers:
                    connection.execute(sa.insert(ANSWER), answers)
        except exc.IntegrityError:
            with self._database.transaction() as connection:
                if connection.scalar(sa.select(FEEDBACK.c.id).where(FEEDBACK.c.id == entry["id"])) is None:
                    raise

    def add_all(self, feedback: builtins.list[Feedback]) -> int:
        """Store entries in one step, all or none, durable on return; returns how many were not known before.

        Raises what `add` raises.
        """
        rows = {entry["id"]: (entry, answers) for entry, answers in map(to_rows, feedback)}
        try:
            return self._add_new(rows)
        except exc.IntegrityError:  # somebody else has just added some of them
            return self._add_new(rows)

    def _add_new(self, rows: dict[str, tuple[dict[str, Any], builtins.list[dict[str, Any]]]]) -> int:
        with self._database.writing() as connection:
            known = set(connection.scalars(sa.select(FEEDBACK.c.id).where(FEEDBACK.c.id.in_(rows))))
            new = [pair for key, pair in rows.items() if key not in known]
            if new:
                connection.execute(sa.insert(FEEDBACK), [entry for entry, _ in new])
            if answers := [answer for _, each in new for answer in each]:
                connection.execute(sa.insert(ANSWER), answers)
        return len(new)

    def delete(self, seen: Feedback) -> Feedback:
        """Leave an entry out of lists and counts. Returns and raises what `change` does."""
        return self.change(seen, replace(seen, deleted_at=datetime.now(UTC)))

    def restore(self, seen: Feedback) -> Feedback:
        """Undo a delete. Returns and raises what `change` does."""
        return self.change(seen, replace(seen, deleted_at=None))

    def review(self, seen: Feedback, true_digit: int | None) -> Feedback:
        """Confirm or correct what an entry shows, a digit or None for what is none: it is not doubtful any more.

        Returns and raises what `change` does.
        """
        digit = None if true_digit is None else to_digit(true_digit)
        return self.change(seen, replace(seen, true_digit=digit, judged=True, reviewed_at=datetime.now(UTC)))

    def change(self, seen: Feedback, wanted: Feedback) -> Feedback:
        """Give an entry another label, doubt and place in lists, those of `wanted`, and return it as it is now.

        seen: the entry as it was when that was decided; so to change it back is to undo. Raises FeedbackChanged when
        somebody has changed it since, UnreadableInput when its id is unknown.
        """
        as_seen = [FEEDBACK.c[name].is_not_distinct_from(getattr(seen, name)) for name in CHANGING]
        values = {name: getattr(wanted, name) for name in CHANGING}
        change = sa.update(FEEDBACK).where(FEEDBACK.c.id == to_id(seen.id), *as_seen).values(**values)
        with self._database.writing() as connection:
            changed = connection.execute(change).rowcount
        if not changed:
            self.get(seen.id)
            raise FeedbackChanged("Somebody has changed this drawing since you saw it. Look at it again.")
        return replace(seen, **values)

    def get(self, feedback_id: str) -> Feedback:
        """Return an entry, be it deleted or not; raises UnreadableInput when its id is unknown."""
        found = self._read(FEEDBACK.c.id == to_id(feedback_id))
        if not found:
            raise UnreadableInput(f"There is no feedback with the id {feedback_id}. Choose one from the list.")
        return found[0]

    def list(self, limit: int = 50, offset: int = 0, which: Selection = ALL) -> builtins.list[Feedback]:
        """Return a page of the entries that are selected, newest first."""
        page = which.restrict(sa.select(FEEDBACK.c.id)).order_by(*NEWEST_FIRST).limit(limit).offset(offset)
        return self._read(FEEDBACK.c.id.in_(page))

    def walk(self, which: Selection = ALL) -> Iterator[Feedback]:
        """Go through the selected entries, newest first, as many as there are now; few are in memory at once."""
        chosen = which.restrict(sa.select(FEEDBACK.c.id)).order_by(*NEWEST_FIRST)
        with self._database.transaction() as connection:
            ids = connection.scalars(chosen).all()
        for start in range(0, len(ids), CHUNK):
            yield from self._read(FEEDBACK.c.id.in_(ids[start : start + CHUNK]))

    def count(self, which: Selection = ALL) -> int:
        """Return how many entries are selected."""
        with self._database.transaction() as connection:
            return connection.scalar(which.restrict(sa.select(sa.func.count()).select_from(FEEDBACK))) or 0

    def place(self, entry: Feedback, which: Selection = ALL) -> int:
        """Return how many of the selected entries are newer than one, which need not be among them."""
        columns = FEEDBACK.c
        later = columns.created_at == entry.created_at, columns.id > entry.id
        newer = sa.or_(columns.created_at > entry.created_at, sa.and_(*later))
        with self._database.transaction() as connection:
            query = which.restrict(sa.select(sa.func.count()).select_from(FEEDBACK)).where(newer)
            return connection.scalar(query) or 0

    def images(self, most: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Every drawing that is a digit, or so many of them, the newest first: images `(N, 28, 28) uint8` as the models
        saw them, digits `(N,) int64`."""
        labelled = FEEDBACK.c.deleted_at.is_(None), FEEDBACK.c.judged.is_(True), FEEDBACK.c.true_digit.is_not(None)
        with self._database.transaction() as connection:
            chosen = sa.select(FEEDBACK.c.image, FEEDBACK.c.true_digit).where(*labelled)
            newest = chosen.order_by(FEEDBACK.c.created_at.desc(), FEEDBACK.c.id).limit(most)
            rows = connection.execute(newest).all()
        images = np.frombuffer(b"".join(image for image, _ in rows), np.uint8).reshape(-1, SIDE, SIDE)
        return images, np.array([digit for _, digit in rows], np.int64)

    def visitors(self) -> builtins.list[str]:
        """Return the nicknames and classes that were given, in the order of the alphabet."""
        named = FEEDBACK.c.deleted_at.is_(None), FEEDBACK.c.visitor.is_not(None)
        return self._names(sa.select(FEEDBACK.c.visitor).where(*named))

    def models(self) -> builtins.list[str]:
        """Return the ids of the models that answered, in the order of the alphabet."""
        return self._names(sa.select(ANSWER.c.model_id))

    def is_empty(self) -> bool:
        """Whether nothing was ever said, not even what is deleted now."""
        with self._database.transaction() as connection:
            return connection.scalar(sa.select(FEEDBACK.c.id).limit(1)) is None

    def stats(self, which: Selection = ALL) -> FeedbackStats:
        """Count in the database how often the models were right in what is selected, by no verdict and not deleted."""
        if which.verdict or which.deleted:
            raise ValueError("Answers are counted by their verdict, of entries that are there.")
        with self._database.transaction() as connection:
            return count_feedback(connection, which)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _names(self, query: sa.Select[Any]) -> builtins.list[str]:
        with self._database.transaction() as connection:
            return sorted(connection.scalars(query.distinct()))

    def _read(self, condition: sa.ColumnElement[bool]) -> builtins.list[Feedback]:
        entries = ENTRIES.where(condition).order_by(*NEWEST_FIRST, ANSWER.c.position)
        with self._database.transaction() as connection:
            rows = connection.execute(entries).all()
        return [to_feedback([*group]) for _, group in groupby(rows, lambda row: row.id)]


def to_answer(prediction: Prediction, sha256: str) -> dict[str, Any]:
    """What a model said of a drawing, as an entry keeps it; sha256: that of its network."""
    said = {"digit": prediction.digit, "confidence": prediction.confidence}
    return {"model_id": prediction.model_id, "sha256": sha256, **said}


def share_store(url: str) -> FeedbackStore:
    """The store of a database, opened once per process. Raises FeedbackUnavailable."""
    with _sharing:
        found = _shared.get(url)
    if found:
        return found
    opened = FeedbackStore(url)  # which may take as long as a database is out of reach: nobody waits for another
    with _sharing:
        kept = _shared.setdefault(url, opened)
        dropped = _shared.pop(next(iter(_shared))) if len(_shared) > SHARED else None
    for store in (opened if kept is not opened else None, dropped):
        if store:
            store.close()
    return kept


def forget_store(url: str) -> None:
    """Let the store of a database be opened again, which makes the tables that a new file lacks."""
    with _sharing:
        forgotten = _shared.pop(url, None)
    if forgotten:
        forgotten.close()
