"""The tables of the feedback database, and an entry as their rows.

An entry is one row of `feedback` and one row of `answer` per model that read the drawing, position 0 leading. Every
step that changes a table is a file in `migrations/versions`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import sqlalchemy as sa

from digit_core.errors import EmptyDrawing, InvalidLabel, UnreadableInput
from digit_core.pictures import encode_png
from digit_core.strokes import SIDE, read_strokes
from digit_core.types import MODEL_ID, Drawing, Feedback

MAX_COMMENT, MAX_VISITOR, MAX_ID = 1000, 60, 200  # characters
MAX_ANSWERS = 20  # to one drawing


class UtcDateTime(sa.TypeDecorator[datetime]):
    """A moment in UTC: SQLite drops the zone, PostgreSQL answers in the session's."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


class FeedbackColumns(sa.TypedColumns):
    """Table `feedback`: strokes as JSON `[[[x, y], ...], ...]`, the picture as PNG, the image as 784 bytes.

    ink is the image's, in white pixels, and digest its SHA-256, by which equal drawings are found.
    """

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
    judged: sa.Named[bool] = sa.Column(server_default=sa.true())
    reviewed_at: sa.Named[datetime | None] = sa.Column(UtcDateTime)
    ink: sa.Named[float] = sa.Column(server_default="0")
    digest: sa.Named[str] = sa.Column(server_default="")


class AnswerColumns(sa.TypedColumns):
    """Table `answer`: what one model said of one drawing."""

    feedback_id: sa.Named[str] = sa.Column(sa.Uuid(as_uuid=False), sa.ForeignKey("feedback.id"), primary_key=True)
    position: sa.Named[int] = sa.Column(primary_key=True)
    model_id: sa.Named[str]
    sha256: sa.Named[str]
    digit: sa.Named[int]
    confidence: sa.Named[float]


TABLES = sa.MetaData()
NARROW = ("true_digit", "judged", "input_kind", "visitor", "reviewed_at", "ink")  # all that counting reads
NEWEST = sa.Index("feedback_newest", "deleted_at", "created_at", "id", *NARROW)
EQUAL = sa.Index("feedback_equal", "deleted_at", "judged", "digest", "true_digit")
FEEDBACK = sa.Table("feedback", TABLES, FeedbackColumns, NEWEST, EQUAL)
ANSWER = sa.Table("answer", TABLES, AnswerColumns, sqlite_with_rowid=False)  # an entry's answers lie together
ENTRIES = sa.select(FEEDBACK, ANSWER).outerjoin(ANSWER)  # a row per answer
MOMENTS = ("created_at", "deleted_at", "reviewed_at")
PLAIN = ("session_id", "visitor", "input_kind", "source", "comment", "judged")  # stored, and written, as they are
SAID = ("model_id", "sha256", "digit", "confidence")


def to_rows(feedback: Feedback) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Check an entry and return its row of `feedback` and its rows of `answer`."""
    for moment in (feedback.created_at, feedback.deleted_at, feedback.reviewed_at):
        if moment and moment.utcoffset() is None:
            raise UnreadableInput(f"The time {moment} has no time zone. Give it in UTC.")
    if feedback.image.shape != (SIDE, SIDE) or feedback.image.dtype != np.uint8:
        raise UnreadableInput(f"The image is {feedback.image.shape} {feedback.image.dtype}. Give (28, 28) uint8.")
    check_text("comment", feedback.comment, MAX_COMMENT)
    check_text("nickname", feedback.visitor or "", MAX_VISITOR)
    if re.search(r"[\x01-\x1f\x7f-\x9f]", feedback.visitor or ""):  # in a terminal it would act, not show
        raise UnreadableInput("The nickname holds a character that cannot be seen. Write it again.")
    check_text("session id", feedback.session_id, MAX_ID)
    if len({answer["model_id"] for answer in feedback.answers}) < len(feedback.answers):
        raise UnreadableInput("A model answered twice. Give one answer of each.")
    if len(feedback.answers) > MAX_ANSWERS:
        raise UnreadableInput(f"There are {len(feedback.answers)} answers. Give at most {MAX_ANSWERS}.")
    if feedback.true_digit is not None and not feedback.judged:
        raise UnreadableInput("What nobody judged has no true digit. Leave it out.")
    entry = {
        "id": to_id(feedback.id),
        "true_digit": None if feedback.true_digit is None else to_digit(feedback.true_digit),
        "image": feedback.image.tobytes(),
        "ink": measure_ink(feedback.image),
        "digest": digest_of(feedback.image),
        **_to_columns(feedback.drawing),
        **{name: getattr(feedback, name) for name in (*MOMENTS, *PLAIN)},
    }
    answers = []
    for position, answer in enumerate(feedback.answers):
        if not MODEL_ID.fullmatch(answer["model_id"]):
            raise UnreadableInput(f"The model id {answer['model_id']!r:.80} names no model. Use small letters.")
        check_text("SHA-256 of a model", answer["sha256"] or "", MAX_ID)
        checked = {"digit": to_digit(answer["digit"]), "confidence": float(answer["confidence"])}
        if not 0 <= checked["confidence"] <= 1:
            raise UnreadableInput(f"The confidence is {checked['confidence']}. Give it from 0 to 1.")
        answers.append({**answer, **checked, "feedback_id": entry["id"], "position": position})
    return entry, answers


def digest_of(image: np.ndarray) -> str:
    """The SHA-256 of an image `(28, 28) uint8`, by which equal ones are found."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def measure_ink(image: np.ndarray) -> float:
    """How much ink an image `(28, 28) uint8` holds, in white pixels."""
    return float(image.sum()) / 255


def _to_columns(drawing: Drawing) -> dict[str, Any]:
    picture, strokes = drawing.image, [stroke.tolist() for stroke in read_strokes(drawing.strokes)]
    if picture is None and not strokes:
        raise EmptyDrawing("The feedback has neither strokes nor a picture. Draw a digit, or choose a file.")
    if picture is not None and (picture.ndim != 2 or picture.dtype != np.uint8 or not picture.size):
        raise UnreadableInput(f"The picture is {picture.shape} {picture.dtype}. Give (height, width) uint8.")
    png = None if picture is None else encode_png(picture)
    return {"strokes": json.dumps(strokes), "picture": png}


def to_feedback(rows: Sequence[sa.Row[*tuple[Any, ...]]]) -> Feedback:
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
        **{name: getattr(row, name) for name in (*MOMENTS, *PLAIN)},
    )


def to_id(text: str) -> str:
    """Write an entry's id as the database does. Raises UnreadableInput when it is no UUID."""
    try:
        return str(UUID(text))
    except (AttributeError, TypeError, ValueError):
        raise UnreadableInput(f"The id {text!r:.80} is no UUID. Choose one as uuid.uuid4() makes them.") from None


def to_digit(value: Any) -> int:
    """Check a digit, of Python or NumPy. Raises InvalidLabel when it is not one of 0-9."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value <= 9:
        raise InvalidLabel(f"The digit of a feedback is {value!r:.80}. Give 0 to 9, or null for what is no digit.")
    return int(value)


def check_text(name: str, text: str, limit: int) -> None:
    """Raise UnreadableInput for text that is too long, in characters, or that no database keeps."""
    if len(text) > limit:
        raise UnreadableInput(f"The {name} has {len(text):,} characters. Write at most {limit:,}.")
    if re.search("[\0\ud800-\udfff]", text):  # neither is text to a database
        raise UnreadableInput(f"The {name} holds a character that cannot be stored. Write it again.")
