"""Guarded learning from what people said: their drawings among images of old, measured before and after.

Who learns from corrections alone forgets the rest. So they are few among images of old: MNIST's, digits that the
program draws, pen strokes (rehearsal, Robins 1995). Strokes are written again and again as the same hand would on
another day, and the model keeps a part of its old weights. `python -m tests.benchmarks.learning` tells what that
brings, and what of it the images of old alone do.
"""

import contextlib
import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from digit_core import runs
from digit_core.datasets import (
    SYNTHETIC_SEED,
    find_mnist,
    load_mnist,
    load_pen_digits,
    load_synthetic,
    make_dataset,
    split_name,
)
from digit_core.errors import DataUnavailable, EmptyDrawing, InvalidConfig
from digit_core.feedback import FeedbackStore
from digit_core.handwriting import SAME_HAND, enter_image, vary
from digit_core.measuring import Labelled, Read
from digit_core.model_store import load_info
from digit_core.pen_digits import find_pen_digits
from digit_core.preprocessing import preprocess
from digit_core.selection import NEARLY_BLANK, Selection
from digit_core.settings import Settings
from digit_core.synthetic import draw_digit, draw_digits
from digit_core.tables import digest_of, measure_ink
from digit_core.types import Comparison, Dataset, Drawing, Feedback, ModelInfo, Pictures, TrainConfig

OLD = 20_000  # images that the base is rehearsed on
SHARE = 0.04  # of the rehearsed images: so many the lessons make up, repeated, or more if there are more
MOST_REPEATS = 100  # of one lesson: so often a single one must be seen to be read rightly
MOST = 2_000  # lessons, the newest, and as many entries that were read rightly
SYNTHETIC, PEN_DIGITS = 2_000, 3_000  # drawings among what is rehearsed
HELD_OUT = 0.2  # of the drawings
FEWEST = 5  # sessions: of fewer, single drawings are held out; drawings: of fewer, none is
EPOCHS, LEARNING_RATE, BATCH = 2, 3e-3, 256
VALIDATION = 0.05  # of all images
UNSEEN = 1 / 12  # of the images of old, the last: as trainings hold these out, no base has learned them
STRESS, STRESS_SEED = 1_000, 7_000  # drawings that the program enters in every way
FEEDBACK = "held-out feedback"
SHOWN = 24  # drawings that were taught, and images that turned wrong, of people's drawings first, kept to look at
BEARABLE = 0.002  # share of images that a model may newly misread before there is a warning


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a fine-tuning learns from, and what it is measured with, by name; held-out feedback is among it.

    taught holds the newest drawings of digits to learn from, to be shown; learned, confirmed and held_out count
    entries: to learn from, read rightly before, not to be learned from. known holds the digests of the images that the
    model has learned when it is done, its base's among them.
    """

    dataset: Dataset
    measured: dict[str, Labelled]
    taught: Labelled
    learned: int
    confirmed: int
    held_out: int
    known: frozenset[str]


def plan_fine_tuning(
    base: ModelInfo,
    settings: Settings,
    visitor: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> TrainConfig:
    """The settings of a training that teaches a stored model what people said: one visitor, or from `since` until
    before `until`, where these are given.
    """
    old = "mnist" if find_mnist(settings) else "synthetic"
    return replace(
        base.config,
        dataset=f"{old}+feedback",
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        schedule="one-cycle",
        optimizer="adamw",
        augment=True,
        elastic=0.0,
        label_smoothing=0.0,
        teacher_id=None,
        validation_fraction=VALIDATION,
        early_stopping=0,
        time_budget_s=0.0,
        base_model_id=base.model_id,
        visitor=visitor,
        since=since.isoformat() if since else None,
        until=until.isoformat() if until else None,
    )


def choose_lessons(config: TrainConfig) -> Selection:
    """Which feedback a fine-tuning learns from. Raises InvalidConfig for a moment that is none."""
    return Selection(visitor=config.visitor, since=_to_moment(config.since), until=_to_moment(config.until))


def _to_moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(text)
        if moment.utcoffset() is not None:
            return moment
    raise InvalidConfig(f"The feedback is chosen by {text!r:.40}, no moment. Give one as 2026-03-01T00:00:00+00:00.")


def load_lessons(
    config: TrainConfig, settings: Settings, on_progress: Callable[[str, float], None] = lambda what, share: None
) -> Lessons:
    """Load what people said, and the images of old that go with it.

    Raises InvalidConfig, DataUnavailable, FeedbackUnavailable.
    """
    with contextlib.closing(FeedbackStore(settings.database_url)) as store:
        found = store.walk(choose_lessons(config))
        entries = [replace(entry, drawing=Drawing(entry.drawing.strokes)) for entry in found]  # pictures are large
    if not entries:
        whose = "Nobody has" if config.visitor is None else f"{config.visitor} has not"
        then = "in those days" if config.since or config.until else "yet"
        raise DataUnavailable(f"{whose} said {then} what a drawing shows. Draw some digits and say what they are.")
    sound = leave_out_doubtful(entries)
    if not sound:
        raise DataUnavailable(
            "All labels are in doubt: the drawings are nearly blank, or have several. Look at them on the page "
            "Feedback, under Doubtful."
        )
    known = _find_known(entries, config, settings)
    learned, held_out = hold_out(sound, known)
    rng = np.random.default_rng([config.seed, len(learned)])
    old = load_mnist(settings) if split_name(config.dataset)[0] == "mnist" else load_synthetic(settings)
    on_progress("Writing again what people drew", 0.0)
    corrected = [entry for entry in learned if not _was_right(entry)][:MOST]
    confirmed = [entry for entry in learned if _was_right(entry)][:MOST]
    parts = [_repeat(corrected, rng), _as_seen(confirmed), *_rehearsal(settings, rng)]
    parts += _sample(old, sum(len(images) for images, _ in parts), rng)
    x, y = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Lessons(
        make_dataset(config.dataset, x, y, old.x_test, old.y_test),
        _measures(old, held_out, on_progress),
        _as_seen([entry for entry in corrected if entry.true_digit is not None][:SHOWN]),
        len(corrected),
        len(confirmed),
        len(held_out),
        frozenset(known.union(digest_of(entry.image) for entry in (*corrected, *confirmed))),
    )


def _find_known(entries: Sequence[Feedback], config: TrainConfig, settings: Settings) -> set[str]:
    """The digests of the images that the base has learned, itself or as what it came from."""
    if config.base_model_id is None:
        return set()
    base = load_info(config.base_model_id, settings)
    known = runs.load_known(base.model_id, settings)
    if "feedback" in base.dataset.split("+") and base.parent_id is None:  # it learned all that there was
        known |= {digest_of(entry.image) for entry in entries if entry.created_at <= base.created_at}
    return known


def leave_out_doubtful(entries: Sequence[Feedback]) -> list[Feedback]:
    """Leave out what nobody reviewed and is next to blank, or has several labels; of equal drawings one is left."""
    labels = defaultdict(set)
    for entry in entries:
        labels[digest_of(entry.image)].add(entry.true_digit)

    def is_sound(entry: Feedback) -> bool:
        return len(labels[digest_of(entry.image)]) == 1 and measure_ink(entry.image) >= NEARLY_BLANK

    sound = [entry for entry in entries if entry.reviewed_at is not None or is_sound(entry)]
    return list({(digest_of(entry.image), entry.true_digit): entry for entry in sound}.values())


def hold_out(entries: Sequence[Feedback], known: Set[str] = frozenset()) -> tuple[list[Feedback], list[Feedback]]:
    """Part entries into those to learn from and about a fifth that is not.

    Whole drawing sessions are held out, or single drawings while there are few sessions, or one of those drawn has most
    of the drawings. What the model knows already, by the digests of images, is never held out, nor what is no digit:
    neither would measure what was learned.
    """
    fresh = [entry for entry in entries if entry.true_digit is not None and digest_of(entry.image) not in known]
    if len(entries) < FEWEST or not fresh:
        return [*entries], []
    held_out = [entry for entry in fresh if _lot(entry.session_id) < HELD_OUT]
    few = len({entry.session_id for entry in entries}) < FEWEST
    if few or not held_out or len(held_out) > 2 * HELD_OUT * len(entries):
        lots = {entry.id: _lot(entry.id) for entry in fresh}
        least = math.nextafter(min(lots.values()), 1.0) if len(fresh) >= FEWEST else 0.0  # one of these at least
        held_out = [entry for entry in fresh if lots[entry.id] < max(HELD_OUT, least)]
    chosen = {entry.id for entry in held_out}
    return [entry for entry in entries if entry.id not in chosen], held_out


def _lot(name: str) -> float:
    """A number of 0-1 that is the same for the same name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


def compare(before: Read, after: Read, measured: dict[str, Labelled]) -> tuple[list[Comparison], Pictures]:
    """Measure two models on the same images: each set of them, and some that only the first one reads rightly.

    These show what the second one reads.
    """
    comparisons, lost = [], []
    for name, (images, digits) in measured.items():
        was, now = (read(images).argmax(axis=1) for read in (before, after))
        turned_wrong = np.flatnonzero((was == digits) & (now != digits))
        lost.append((images[turned_wrong], digits[turned_wrong], now[turned_wrong]))
        counts = (
            np.bincount(digits[right], minlength=10).tolist() for right in (digits >= 0, was == digits, now == digits)
        )
        by_digit = tuple(zip(*counts, strict=True))
        total, first, second = (sum(column) for column in zip(*by_digit, strict=True))
        comparisons.append(Comparison(name, total, first, second, len(turned_wrong), by_digit))
    images, digits, now = (np.concatenate(arrays) for arrays in zip(*reversed(lost), strict=True))
    return comparisons, Pictures(images[:SHOWN], digits[:SHOWN], now[:SHOWN])


def find_losses(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The sets, but for people's own few drawings, on which the new model reads noticeably less rightly."""
    return [each for each in comparisons if each.name != FEEDBACK and each.before - each.after > BEARABLE * each.total]


def _was_right(entry: Feedback) -> bool:
    return bool(entry.answers) and entry.answers[0]["digit"] == entry.true_digit


def _label(entry: Feedback) -> int:
    return -1 if entry.true_digit is None else entry.true_digit


def _repeat(entries: Sequence[Feedback], rng: np.random.Generator) -> Labelled:
    """Each drawing so often that all have their share: by turns as it was, and written again."""
    repeats = int(np.clip(SHARE * OLD / max(len(entries), 1), 1, MOST_REPEATS))
    images, digits = [], []
    for entry in entries:
        for number in range(repeats):
            images.append(_write_again(entry, rng) if number % 2 else entry.image)
            digits.append(_label(entry))
    return np.array(images, np.uint8).reshape(-1, 28, 28), np.array(digits, np.int64)


def _write_again(entry: Feedback, rng: np.random.Generator) -> np.ndarray:
    if not entry.drawing.strokes:
        return entry.image  # the training changes it
    try:
        return preprocess(Drawing(vary(entry.drawing.strokes, rng, SAME_HAND)))
    except EmptyDrawing:
        return entry.image


def _as_seen(entries: Sequence[Feedback]) -> Labelled:
    images = np.array([entry.image for entry in entries], np.uint8).reshape(-1, 28, 28)
    return images, np.array([_label(entry) for entry in entries], np.int64)


def _rehearsal(settings: Settings, rng: np.random.Generator) -> list[Labelled]:
    """Drawings of the program, and pen strokes where there are any."""
    parts = [draw_digits(SYNTHETIC, SYNTHETIC_SEED)]
    if find_pen_digits(settings):
        images, digits = load_pen_digits(settings)
        chosen = rng.permutation(len(images))[:PEN_DIGITS]
        parts.append((images[chosen], digits[chosen]))
    return parts


def _sample(old: Dataset, others: int, rng: np.random.Generator) -> list[Labelled]:
    """Images of old to rehearse beside so many others, then those that validate: what no base has learned."""
    cut = len(old.x_train) - round(UNSEEN * len(old.x_train))
    rehearsed = rng.permutation(cut)[:OLD]
    validating = round((others + len(rehearsed)) * VALIDATION / (1 - VALIDATION))
    unseen = cut + rng.permutation(len(old.x_train) - cut)[:validating]
    return [(old.x_train[chosen], old.y_train[chosen]) for chosen in (rehearsed, unseen)]


def _measures(
    old: Dataset, held_out: Sequence[Feedback], on_progress: Callable[[str, float], None]
) -> dict[str, Labelled]:
    rng = np.random.default_rng(STRESS_SEED)
    images, digits = [], np.arange(STRESS) % 10
    for number, digit in enumerate(digits.tolist()):
        if number % 100 == 0:
            on_progress("Drawing what it is measured with", number / STRESS)
        images.append(enter_image(draw_digit(digit, rng), rng))
    measures = {
        f"test images of {old.name}": (old.x_test, old.y_test),
        "drawings entered in every way": (np.array(images), digits),
    }
    return measures | ({FEEDBACK: _as_seen(held_out)} if held_out else {})
