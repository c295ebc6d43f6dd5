"""What a network learns from people, and forgets: `python -m tests.benchmarks.learning [BASE]`.

Needs DIGIT_LAB_MNIST and DIGIT_LAB_PEN_DIGITS. BASE is a stored model; without it a CNN of the balanced preset is
trained on MNIST alone. Writers of pen strokes play the people: BASE misreads writers 1 to 24, its first 100 misreads
are fed back, and the six writers 25 to 30 are read before and after. Then each of these six teaches it five drawings
of each digit, and it reads the writer's others. As in the program, a fifth of what is fed back is held out. Beside it
stands what comes without pen strokes by others among the images of old, and without any feedback. Prints Markdown;
takes about a quarter of an hour on two cores.
"""

import dataclasses
import sys
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from digit_core import learning, runs
from digit_core.classifier import load_classifier
from digit_core.datasets import load_mnist, make_dataset
from digit_core.feedback import FeedbackStore
from digit_core.model_store import load_info, load_network
from digit_core.pen_digits import require_pen_digits
from digit_core.preprocessing import preprocess
from digit_core.presets import CONFIGS
from digit_core.settings import Settings, read_settings
from digit_core.training import to_input, train
from digit_core.types import Drawing, Feedback
from digit_core.worker import execute_run
from tests.benchmarks.recognition import MEASURING, Strokes, read_writers

PEOPLE = range(1, 25)  # writers whose misreads are fed back
MISREADS, EACH = 100, 5  # fed back in all; drawings of each digit that a writer teaches
EPOCHS, REPEATS = 2, 20  # of learning from corrections alone


def main() -> None:
    given = read_settings()
    with tempfile.TemporaryDirectory() as folder:
        settings = dataclasses.replace(given, models=Path(folder) / "models")
        if len(sys.argv) > 1:
            base_id, settings = sys.argv[1], dataclasses.replace(settings, models=given.models)
        else:
            base_id = runs.create_run(CONFIGS["cnn", "balanced"], settings, "balanced")
            execute_run(base_id, settings, lambda event: None)
        Learner(base_id, settings, Path(folder)).report()


class Learner:
    """A base model, and what becomes of it."""

    def __init__(self, base_id: str, settings: Settings, folder: Path) -> None:
        self.base_id, self.settings, self.folder = base_id, settings, folder
        self.mnist = load_mnist(settings)
        self.pen_digits = require_pen_digits(settings)
        self.base = self.read(base_id)

    def read(self, model_id: str):  # type: ignore[no-untyped-def]
        return load_classifier(model_id, self.settings).predict_probabilities

    def learn(self, entries: Iterable[Feedback], pen_digits: Path | None = None) -> tuple[str, float]:
        """Let the base learn from entries; returns the new model and the seconds of its training.

        pen_digits: where pen strokes by others are, which are then among the images of old.
        """
        name = f"{self.base_id}-{uuid.uuid4().hex[:8]}"
        settings = dataclasses.replace(
            self.settings,
            database_url=f"sqlite:///{self.folder / name}.sqlite3",
            pen_digits=pen_digits or self.folder / "none",
        )
        with closing(FeedbackStore(settings.database_url)) as store:
            store.add_all(list(entries))
        config = learning.plan_fine_tuning(load_info(self.base_id, settings), settings)
        execute_run(runs.create_run(config, settings, name), settings, lambda event: None)
        return name, runs.load_run(name, settings).elapsed_s

    def report(self) -> None:
        strokes, labels, _ = read_writers(self.pen_digits, PEOPLE)
        misread = np.flatnonzero(self.base(images_of(strokes)).argmax(axis=1) != labels)
        corrections = [to_feedback(strokes[i], int(labels[i])) for i in misread[:MISREADS]]
        learned, seconds = self.learn(corrections, self.pen_digits)
        without, _ = self.learn(corrections)
        old, _ = self.learn([self.confirm(strokes, labels)], self.pen_digits)
        alone = self.learn_alone(corrections)
        others, digits, by = read_writers(self.pen_digits, MEASURING)
        images = images_of(others)
        print(
            f"{self.base_id} misread {len(misread)} of {len(labels):,} drawings of writers {PEOPLE[0]}-{PEOPLE[-1]}.\n"
        )
        print(
            "| | before | corrections among old images | no pen strokes among these | no corrections | no old images |"
        )
        print("|---|---:|---:|---:|---:|---:|")
        readers = [self.base, *map(self.read, (learned, without, old)), alone]
        wrong = [int((read(images).argmax(axis=1) != digits).sum()) for read in readers]
        mnist = [100 * float((read(self.mnist.x_test).argmax(axis=1) == self.mnist.y_test).mean()) for read in readers]
        print(f"| errors on {len(digits):,} drawings of writers 25-30 | {' | '.join(map(str, wrong))} |")
        print(f"| MNIST test, % right | {' | '.join(f'{share:.2f}' for share in mnist)} |")
        print(f"| seconds of training | | {seconds:.1f} | | | |\n", flush=True)
        print("| errors on a writer's other drawings, of | before | after | no pen strokes by others | no lesson |")
        print("|---|---:|---:|---:|---:|")
        errors = []
        for writer in MEASURING:
            own = np.flatnonzero(by == writer)
            taught = np.concatenate([own[digits[own] == digit][:EACH] for digit in range(10)])
            rest = np.setdiff1d(own, taught)
            lessons = [to_feedback(others[i], int(digits[i])) for i in taught]
            names = [self.learn(lessons, strokes)[0] for strokes in (self.pen_digits, None)]
            readers = [self.base, *map(self.read, (*names, old))]
            errors.append([int((read(images[rest]).argmax(axis=1) != digits[rest]).sum()) for read in readers])
            print(f"| writer {writer}, {len(rest)} | {' | '.join(map(str, errors[-1]))} |", flush=True)
        print(f"| mean of the six | {' | '.join(f'{mean:.1f}' for mean in np.mean(errors, axis=0))} |")

    def confirm(self, strokes: list[Strokes], labels: np.ndarray) -> Feedback:
        """One drawing that the base reads rightly: it leaves hardly anything to learn from but images of old."""
        right = int(np.flatnonzero(self.base(images_of(strokes)).argmax(axis=1) == labels)[0])
        answer = {"model_id": "cnn", "sha256": "", "digit": int(labels[right]), "confidence": 1.0}
        return dataclasses.replace(to_feedback(strokes[right], int(labels[right])), answers=(answer,))

    def learn_alone(self, entries: list[Feedback]):  # type: ignore[no-untyped-def]
        """Learn from corrections without any image of old."""
        info = load_info(self.base_id, self.settings)
        config = dataclasses.replace(
            learning.plan_fine_tuning(info, self.settings), base_model_id=None, epochs=EPOCHS, validation_fraction=0.05
        )
        images = np.array([entry.image for entry in entries] * REPEATS)
        digits = np.array([entry.true_digit for entry in entries] * REPEATS)
        dataset = make_dataset("alone", images, digits, self.mnist.x_test, self.mnist.y_test)
        base = load_network(self.base_id, self.settings)
        network = train(config, dataset, lambda event: None, lambda: False, base=base)
        return lambda images: network.predict(to_input(images), batch_size=500, verbose=0)


def images_of(strokes: list[Strokes]) -> np.ndarray:
    return np.array([preprocess(Drawing(each)) for each in strokes])


def to_feedback(strokes: Strokes, digit: int) -> Feedback:
    """What a person says who only names what was drawn."""
    drawing = Drawing(strokes)
    now = datetime.now(UTC)
    return Feedback(str(uuid.uuid4()), now, "benchmark", drawing, "canvas", preprocess(drawing), (), digit)


if __name__ == "__main__":
    main()
