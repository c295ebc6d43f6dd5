"""What people say, for tests: entries of the feedback."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import numpy as np

from digit_core.feedback import FeedbackStore
from digit_core.settings import read_settings
from digit_core.types import Drawing, Feedback

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STROKES = (np.array([[0.1, 1 / 3], [-0.0, 1e-300]]), np.array([[np.pi, 280.0]]))
PICTURE = np.random.default_rng(0).integers(0, 256, (31, 47), dtype=np.uint8)


def say(true_digit: int | None, *read_as: int, minute: int = 0, **changes: Any) -> Feedback:
    """A person's word on a drawing that `ann`, then `cnn`, read as these digits."""
    answers = tuple(
        {"model_id": model_id, "sha256": "ab" * 32, "digit": digit, "confidence": 0.1 + 0.2}
        for model_id, digit in zip(("ann", "cnn"), read_as, strict=False)
    )
    entry = Feedback(
        id=str(uuid4()),
        created_at=NOON + timedelta(minutes=minute),
        session_id="session",
        drawing=Drawing(strokes=STROKES),
        input_kind="canvas",
        image=np.arange(784, dtype=np.uint16).astype(np.uint8).reshape(28, 28),
        answers=answers,
        true_digit=true_digit,
    )
    return replace(entry, **changes)


def image_of(ink: int) -> np.ndarray:
    """An image of so many white pixels."""
    image = np.zeros(784, np.uint8)
    image[:ink] = 255
    return image.reshape(28, 28)


def keep(*entries: Feedback) -> None:
    """Store entries in the database of the settings."""
    with closing(FeedbackStore(read_settings().database_url)) as store:
        store.add_all(list(entries))
