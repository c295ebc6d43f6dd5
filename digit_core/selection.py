"""Which entries of the feedback: one value that lists, counts and exports are restricted by."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from digit_core.tables import ANSWER, FEEDBACK, MAX_ID, MAX_VISITOR, check_text, measure_ink
from digit_core.types import Feedback, InputKind

Verdict = Literal["right", "wrong", "collected", "unjudged"]
Doubt = Literal["any", "against", "conflict", "blank"]
SURE = 0.9  # confidence from which models that all contradict a label cast doubt on it
NEARLY_BLANK = 15.0  # white pixels: less ink than a dot of the thickest pen leaves


@dataclass(frozen=True)
class Selection:
    """Which entries; what is left out restricts nothing.

    true_digits: with None for what is no digit; model_id: a model that answered, whose answer then is the one that was
    right or wrong, else the leading one's is; verdict: `collected` without any answer, `unjudged` by nobody;
    since and until: of `created_at`, the latter excluded; doubt: labels that nobody reviewed and that are likely
    wrong, for one reason or for any: all models, two at least, are sure `against` it, an equal drawing has another
    (`conflict`), or there is next to no ink (`blank`).
    """

    true_digits: tuple[int | None, ...] = ()
    model_id: str | None = None
    verdict: Verdict | None = None
    input_kinds: tuple[InputKind, ...] = ()
    visitor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    doubt: Doubt | None = None
    deleted: bool = False

    def __post_init__(self) -> None:
        """Raise UnreadableInput for a name that nobody can have given."""
        check_text("nickname", self.visitor or "", MAX_VISITOR)
        check_text("model id", self.model_id or "", MAX_ID)

    def restrict(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Restrict a query of table `feedback` to the selected entries, a row each."""
        if self.verdict == "collected":
            unread = sa.false() if self.model_id else ~sa.exists().where(ANSWER.c.feedback_id == FEEDBACK.c.id)
            return query.where(*self.conditions(), unread)
        if self.verdict in ("right", "wrong") or self.model_id is not None:
            return self.join(query)
        return query.where(*self.conditions())

    def join(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """Restrict a query of `feedback`, and join to each entry the one answer that counts."""
        counts = ANSWER.c.position == 0 if self.model_id is None else ANSWER.c.model_id == self.model_id
        query = query.join(ANSWER, sa.and_(ANSWER.c.feedback_id == FEEDBACK.c.id, counts)).where(*self.conditions())
        if self.verdict not in ("right", "wrong"):
            return query
        wrong = ANSWER.c.digit.is_distinct_from(FEEDBACK.c.true_digit)
        return query.where(wrong if self.verdict == "wrong" else ~wrong)

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """What holds for the entries, whatever was answered to them."""
        columns = FEEDBACK.c
        conditions: list[sa.ColumnElement[bool]] = [
            columns.deleted_at.is_not(None) if self.deleted else columns.deleted_at.is_(None),
        ]
        if not self.deleted or self.verdict:
            conditions.append(columns.judged.is_(self.verdict != "unjudged"))
        if self.true_digits:
            digits = [digit for digit in self.true_digits if digit is not None]
            none = [columns.true_digit.is_(None)] if None in self.true_digits else []
            conditions.append(sa.or_(columns.true_digit.in_(digits), *none))
        if self.input_kinds:
            conditions.append(columns.input_kind.in_(self.input_kinds))
        if self.visitor is not None:
            conditions.append(columns.visitor == self.visitor)
        if self.since is not None:
            conditions.append(columns.created_at >= self.since)
        if self.until is not None:
            conditions.append(columns.created_at < self.until)
        if self.doubt is not None:
            reasons = {"against": self._against(), "conflict": self._conflict(), "blank": columns.ink < NEARLY_BLANK}
            chosen = list(reasons.values()) if self.doubt == "any" else [reasons[self.doubt]]
            conditions += [columns.reviewed_at.is_(None), sa.or_(*chosen)]
        return conditions

    def _against(self) -> sa.ColumnElement[bool]:
        asked = FEEDBACK.alias("asked")
        agrees = sa.case((ANSWER.c.digit == asked.c.true_digit, 1), else_=0)
        contradicted = (
            sa.select(ANSWER.c.feedback_id)
            .join(asked, asked.c.id == ANSWER.c.feedback_id)
            .group_by(ANSWER.c.feedback_id)
            .having(sa.func.count() >= 2, sa.func.min(ANSWER.c.confidence) >= SURE, sa.func.max(agrees) == 0)
        )
        return FEEDBACK.c.id.in_(contradicted)

    def _conflict(self) -> sa.ColumnElement[bool]:
        equal = FEEDBACK.alias("equal")
        label = sa.func.coalesce(equal.c.true_digit, -1)
        several = (
            sa.select(equal.c.digest)
            .where(equal.c.deleted_at.is_(None), equal.c.judged.is_(True))
            .group_by(equal.c.digest)
            .having(sa.func.min(label) < sa.func.max(label))
        )
        return FEEDBACK.c.digest.in_(several)


ALL = Selection()


def find_doubt(entry: Feedback) -> Doubt:
    """The first reason for which an entry that a Selection found doubtful is."""
    if measure_ink(entry.image) < NEARLY_BLANK:
        return "blank"
    against = [answer["confidence"] >= SURE and answer["digit"] != entry.true_digit for answer in entry.answers]
    return "against" if len(against) >= 2 and all(against) else "conflict"
