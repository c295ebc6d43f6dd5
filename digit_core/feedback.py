"""What people said of their drawings, kept in a database: SQLite, or PostgreSQL with the same statements.

An entry is written once, as one row of `feedback` and one row of `answer` per model that read the drawing, position 0
leading. Afterwards only its `deleted_at` changes, so that a delete can be undone. The client chooses the id, so that
sending twice is saying once. One index leads to the newest entries and is, beside the narrow `answer`, all that
counting reads: drawings stay untouched.
"""

import builtins
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import sqlalchemy as sa
from sqlalchemy import exc

from digit_core.database import Database
from digit_core.errors import EmptyDrawing, FeedbackUnavailable, UnreadableInput
from digit_core.strokes import SIDE, read_strokes
from digit_core.types import Drawing, Feedback

MAX_COMMENT, MAX_VISITOR, MAX_ID = 1000, 60, 200  # characters


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC: SQLite drops the zone, PostgreSQL answers in the session's."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class FeedbackColumns(sa.TypedColumns):
    """Table `feedback`: strokes as JSON `[[[x, y], ...], ...]`, the picture as PNG, the image as 784 bytes."""

    id: sa.Named[str] = sa.Column(sa.Uuid(as_uuid=False), primary_key=True)
    created_at: sa.Named[datetime] = sa.Column(UtcDateTime)
    deleted_at: sa.Named[datetime | None] = sa.Column(UtcDateTime)
    session_id: sa.Named[str]
    visitor: sa.Named[str | None]
    input_kind: sa.Named[str]
    source: sa.Named[str]
    true_digit: sa.Named[int | None]
    comment: sa.Named[str]
    strokes: sa.Named[str] = sa.Column(sa.Text)
    picture: sa.Named[bytes | None]
    image: sa.Named[bytes]


class AnswerColumns(sa.TypedColumns):
    """Table `answer`: what one model said of one drawing."""

    feedback_id: sa.Named[str] = sa.Column(sa.Uuid(as_uuid=False), sa.ForeignKey("feedback.id"), primary_key=True)
    position: sa.Named[int] = sa.Column(primary_key=True)
    model_id: sa.Named[str]
    sha256: sa.Named[str]
    digit: sa.Named[int]
    confidence: sa.Named[float]


TABLES = sa.MetaData()
INDEX = sa.Index("feedback_newest", "deleted_at", "created_at", "id", "true_digit")
FEEDBACK = sa.Table("feedback", TABLES, FeedbackColumns, INDEX)
ANSWER = sa.Table("answer", TABLES, AnswerColumns, sqlite_with_rowid=False)  # an entry's answers lie together
NEWEST_FIRST = (FEEDBACK.c.created_at.desc(), FEEDBACK.c.id.desc())
ENTRIES = sa.select(FEEDBACK, ANSWER).outerjoin(ANSWER).order_by(*NEWEST_FIRST, ANSWER.c.position)  # a row per answer
PLAIN = ("created_at", "deleted_at", "session_id", "visitor", "input_kind", "source", "comment")  # stored as they are
SAID = ("model_id", "sha256", "digit", "confidence")


@dataclass(frozen=True)
class FeedbackStats:
    """How often the models were right; each pair is `(total, correct)`.

    total, correct, by_digit (all of 0-9) and confusions are of the leading answers, by_model is of every answer;
    confusions: `(true, predicted, count)`, most frequent first, with None as true where it was no digit.
    """

    total: int
    correct: int
    by_digit: dict[int, tuple[int, int]]
    by_model: dict[str, tuple[int, int]]
    confusions: list[tuple[int | None, int, int]]


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
        entry, answers = _to_rows(feedback)
        try:
            with self._database.writing() as connection:
                connection.execute(sa.insert(FEEDBACK), entry)
                if answers:
                    connection.execute(sa.insert(ANSWER), answers)
        except exc.IntegrityError:
            with self._database.transaction() as connection:
                if connection.scalar(sa.select(FEEDBACK.c.id).where(FEEDBACK.c.id == entry["id"])) is None:
                    raise

    def delete(self, feedback_id: str) -> None:
        """Leave an entry out of lists and counts; raises UnreadableInput when its id is unknown."""
        self._mark(feedback_id, datetime.now(UTC))

    def restore(self, feedback_id: str) -> None:
        """Undo a delete; raises UnreadableInput when the id is unknown."""
        self._mark(feedback_id, None)

    def get(self, feedback_id: str) -> Feedback:
        """Return an entry, be it deleted or not; raises UnreadableInput when its id is unknown."""
        with self._database.transaction() as connection:
            rows = connection.execute(ENTRIES.where(FEEDBACK.c.id == _to_id(feedback_id))).all()
        if not rows:
            raise _unknown(feedback_id)
        return _to_feedback(rows)

    def list(self, limit: int = 50, offset: int = 0, misread_only: bool = False) -> builtins.list[Feedback]:
        """Return a page of the entries, newest first: all, or those whose leading answer was wrong."""
        page = sa.select(FEEDBACK.c.id).where(FEEDBACK.c.deleted_at.is_(None)).order_by(*NEWEST_FIRST)
        if misread_only:
            wrong = ANSWER.c.digit.is_distinct_from(FEEDBACK.c.true_digit)
            page = page.join(ANSWER).where(ANSWER.c.position == 0, wrong)
        with self._database.transaction() as connection:
            rows = connection.execute(ENTRIES.where(FEEDBACK.c.id.in_(page.limit(limit).offset(offset)))).all()
        return [_to_feedback([*group]) for _, group in groupby(rows, lambda row: row.id)]

    def images(self) -> tuple[np.ndarray, np.ndarray]:
        """Every drawing that is a digit: images `(N, 28, 28) uint8` as the models saw them, digits `(N,) int64`."""
        labelled = FEEDBACK.c.deleted_at.is_(None), FEEDBACK.c.true_digit.is_not(None)
        with self._database.transaction() as connection:
            rows = connection.execute(sa.select(FEEDBACK.c.image, FEEDBACK.c.true_digit).where(*labelled)).all()
        images = np.frombuffer(b"".join(image for image, _ in rows), np.uint8).reshape(-1, SIDE, SIDE)
        return images, np.array([digit for _, digit in rows], np.int64)

    def stats(self) -> FeedbackStats:
        """Count in the database how often the models were right; entries without an answer do not count."""
        by = (ANSWER.c.model_id, ANSWER.c.position, FEEDBACK.c.true_digit, ANSWER.c.digit)
        counts = sa.select(*by, sa.func.count()).join_from(FEEDBACK, ANSWER).where(FEEDBACK.c.deleted_at.is_(None))
        total, correct = Counter[str](), Counter[str]()
        pairs: Counter[tuple[int | None, int]] = Counter()  # of the leading answers: (true, predicted)
        with self._database.transaction() as connection:
            for model_id, position, true, predicted, count in connection.execute(counts.group_by(*by)):
                total[model_id] += count
                if true == predicted:
                    correct[model_id] += count
                if position == 0:
                    pairs[true, predicted] += count
        of_digit: Counter[int | None] = Counter()
        for (true, _), count in pairs.items():
            of_digit[true] += count
        return FeedbackStats(
            total=pairs.total(),
            correct=sum(pairs[digit, digit] for digit in range(10)),
            by_digit={digit: (of_digit[digit], pairs[digit, digit]) for digit in range(10)},
            by_model={model_id: (total[model_id], correct[model_id]) for model_id in sorted(total)},
            confusions=[(true, predicted, n) for (true, predicted), n in pairs.most_common() if true != predicted],
        )

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _mark(self, feedback_id: str, deleted_at: datetime | None) -> None:
        change = sa.update(FEEDBACK).where(FEEDBACK.c.id == _to_id(feedback_id)).values(deleted_at=deleted_at)
        with self._database.writing() as connection:
            if connection.execute(change).rowcount == 0:
                raise _unknown(feedback_id)


def _to_rows(feedback: Feedback) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Check an entry and return its row of `feedback` and its rows of `answer`."""
    for moment in (feedback.created_at, feedback.deleted_at):
        if moment and moment.utcoffset() is None:
            raise UnreadableInput(f"The time {moment} has no time zone. Give it in UTC.")
    if feedback.image.shape != (SIDE, SIDE) or feedback.image.dtype != np.uint8:
        raise UnreadableInput(f"The image is {feedback.image.shape} {feedback.image.dtype}. Give (28, 28) uint8.")
    _check_text("comment", feedback.comment, MAX_COMMENT)
    _check_text("nickname", feedback.visitor or "", MAX_VISITOR)
    _check_text("session id", feedback.session_id, MAX_ID)
    entry = {
        "id": _to_id(feedback.id),
        "true_digit": None if feedback.true_digit is None else _to_digit(feedback.true_digit),
        "image": feedback.image.tobytes(),
        **_to_columns(feedback.drawing),
        **{name: getattr(feedback, name) for name in PLAIN},
    }
    answers = []
    for position, answer in enumerate(feedback.answers):
        _check_text("model id", answer["model_id"], MAX_ID)
        checked = {"digit": _to_digit(answer["digit"]), "confidence": float(answer["confidence"])}
        answers.append({**answer, **checked, "feedback_id": entry["id"], "position": position})
    return entry, answers


def _to_columns(drawing: Drawing) -> dict[str, Any]:
    picture, strokes = drawing.image, [stroke.tolist() for stroke in read_strokes(drawing.strokes)]
    if picture is None and not strokes:
        raise EmptyDrawing("The feedback has neither strokes nor a picture. Draw a digit, or choose a file.")
    if picture is not None and (picture.ndim != 2 or picture.dtype != np.uint8 or not picture.size):
        raise UnreadableInput(f"The picture is {picture.shape} {picture.dtype}. Give (height, width) uint8.")
    png = None if picture is None else cv2.imencode(".png", picture)[1].tobytes()
    return {"strokes": json.dumps(strokes), "picture": png}


def _to_feedback(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> Feedback:
    """Put one entry together from its rows of ENTRIES."""
    row = rows[0]
    png = None if row.picture is None else np.frombuffer(row.picture, np.uint8)
    return Feedback(
        id=row.id,
        drawing=Drawing(
            strokes=tuple(np.array(stroke, np.float64) for stroke in json.loads(row.strokes)),
            image=None if png is None else cv2.imdecode(png, cv2.IMREAD_GRAYSCALE),
        ),
        image=np.frombuffer(row.image, np.uint8).reshape(SIDE, SIDE),
        answers=tuple({name: getattr(each, name) for name in SAID} for each in rows if each.position is not None),
        true_digit=row.true_digit,
        **{name: getattr(row, name) for name in PLAIN},
    )


def _to_id(text: str) -> str:
    try:
        return str(UUID(text))
    except (AttributeError, TypeError, ValueError):
        raise UnreadableInput(f"The id {text!r:.80} is no UUID. Choose one as uuid.uuid4() makes them.") from None


def _unknown(feedback_id: str) -> UnreadableInput:
    return UnreadableInput(f"There is no feedback with the id {feedback_id}. Choose one from the list.")


def _to_digit(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= 9:
        raise UnreadableInput(f"The digit of a feedback is {value!r:.80}. Give 0 to 9, or null for what is no digit.")
    return int(value)


def _check_text(name: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise UnreadableInput(f"The {name} has {len(text):,} characters. Write at most {limit:,}.")
    if re.search("[\0\ud800-\udfff]", text):  # neither is text to a database
        raise UnreadableInput(f"The {name} holds a character that cannot be stored. Write it again.")
