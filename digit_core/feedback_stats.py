"""How often the models were right, counted in the database."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import sqlalchemy as sa

from digit_core.selection import Selection
from digit_core.tables import ANSWER, FEEDBACK

LEVELS = (0.99, 0.9, 0.7, 0.5, 0.0)  # of confidence, the least of each
Share = tuple[int, int]  # (total, correct)


@dataclass(frozen=True)
class FeedbackStats:
    """How often the models were right; each pair is `(total, correct)`.

    by_model is of every answer, all else of the one answer to each entry that counts: the leading one, or the selected
    model's. by_digit has all of 0-9; confusions: `(true, predicted, count)`, most frequent first, with None as true
    where it was no digit; by_day is by the day in UTC; by_visitor leaves out who gave no name; by_confidence maps the
    least confidence of a level to the mean confidence in it and `(total, correct)`; duels, by pair of models that both
    answered: how often they disagreed, and how often the first and the second one then were right; collected counts
    the entries without an answer.
    """

    total: int
    correct: int
    by_digit: dict[int, Share]
    by_model: dict[str, Share]
    confusions: list[tuple[int | None, int, int]]
    by_kind: dict[str, Share]
    by_day: dict[date, Share]
    by_visitor: dict[str, Share]
    by_confidence: dict[float, tuple[float, Share]]
    duels: dict[tuple[str, str], tuple[int, int, int]]
    collected: int

    @property
    def confusion_matrix(self) -> np.ndarray:
        """The answers to what was a digit, `(10, 10) int64`, `[true, predicted]`."""
        matrix = np.zeros((10, 10), np.int64)
        np.fill_diagonal(matrix, [correct for _, correct in self.by_digit.values()])
        for true, predicted, count in self.confusions:
            if true is not None:
                matrix[true, predicted] = count
        return matrix

    def to_plain(self) -> dict[str, Any]:
        """The counts as JSON shows them to other programs, without confidences and duels."""

        def pairs(shares: Mapping[Any, Share]) -> dict[str, dict[str, int]]:
            return {str(name): {"total": total, "correct": correct} for name, (total, correct) in shares.items()}

        by = ("by_digit", "by_model", "by_kind", "by_day", "by_visitor")
        return {
            **{name: getattr(self, name) for name in ("total", "correct", "collected")},
            **{name: pairs(getattr(self, name)) for name in by},
            "confusions": [{"true": true, "predicted": said, "count": count} for true, said, count in self.confusions],
        }


def count_feedback(connection: sa.Connection, which: Selection) -> FeedbackStats:
    """Count what is selected; entries without an answer count only as collected."""
    right = sa.func.sum(sa.case((ANSWER.c.digit == FEEDBACK.c.true_digit, 1), else_=0))

    def share(key: Any, *more: Any) -> list[Any]:
        chosen = which.join(sa.select(key.label("key"), *more, sa.func.count(), right).select_from(FEEDBACK))
        return list(connection.execute(chosen.group_by("key")))

    def shares(key: Any) -> dict[Any, Share]:
        return {name: (total, correct) for name, total, correct in share(key) if name is not None}

    by = FEEDBACK.c.true_digit, ANSWER.c.digit
    answered: Any = sa.select(*by, sa.func.count()).select_from(FEEDBACK)
    pairs: Counter[tuple[int | None, int]] = Counter(
        {(true, predicted): count for true, predicted, count in connection.execute(which.join(answered).group_by(*by))}
    )
    of_digit: Counter[int | None] = Counter()
    for (true, _), count in pairs.items():
        of_digit[true] += count
    wrong = sorted(
        ((true, predicted, n) for (true, predicted), n in pairs.items() if true != predicted),
        key=lambda pair: (-pair[2], -1 if pair[0] is None else pair[0], pair[1]),
    )
    every = sa.select(ANSWER.c.model_id, sa.func.count(), right).join_from(FEEDBACK, ANSWER).where(*which.conditions())
    by_model = connection.execute(every.group_by(ANSWER.c.model_id))
    level = sa.case(*((ANSWER.c.confidence >= least, least) for least in LEVELS[:-1]), else_=LEVELS[-1])
    levels = {least: (mean, (n, sure)) for least, mean, n, sure in share(level, sa.func.avg(ANSWER.c.confidence))}
    without = sa.select(sa.func.count()).select_from(FEEDBACK).outerjoin(ANSWER).where(*which.conditions())
    days = shares(sa.func.date(FEEDBACK.c.created_at))
    return FeedbackStats(
        total=pairs.total(),
        correct=sum(pairs[digit, digit] for digit in range(10)),
        by_digit={digit: (of_digit[digit], pairs[digit, digit]) for digit in range(10)},
        by_model={model_id: (total, correct) for model_id, total, correct in sorted(by_model)},
        confusions=wrong,
        by_kind=shares(FEEDBACK.c.input_kind),
        by_day={date.fromisoformat(str(day)): days[day] for day in sorted(days, key=str)},
        by_visitor=dict(sorted(shares(FEEDBACK.c.visitor).items())),
        by_confidence=dict(sorted(levels.items(), reverse=True)),
        duels=_count_duels(connection, which),
        collected=connection.scalar(without.where(ANSWER.c.feedback_id.is_(None))) or 0,
    )


def _count_duels(connection: sa.Connection, which: Selection) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Answers of two models to one drawing that differ, the pair in the order of the alphabet."""
    one, other = ANSWER.alias("one"), ANSWER.alias("other")
    pair = one.c.model_id, other.c.model_id
    counts = [
        sa.func.count(),
        *(sa.func.sum(sa.case((each.c.digit == FEEDBACK.c.true_digit, 1), else_=0)) for each in (one, other)),
    ]
    differing = (
        sa.select(*pair, *counts)
        .select_from(FEEDBACK)
        .join(one, one.c.feedback_id == FEEDBACK.c.id)
        .join(other, sa.and_(other.c.feedback_id == FEEDBACK.c.id, pair[0] < pair[1], one.c.digit != other.c.digit))
        .where(*which.conditions())
        .group_by(*pair)
    )
    return {
        (first, second): (n, firsts, seconds) for first, second, n, firsts, seconds in connection.execute(differing)
    }
