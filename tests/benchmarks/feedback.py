"""How fast the feedback page answers with much in its store: `python -m tests.benchmarks.feedback [ENTRIES]`.

Fills new stores with 20,000 entries, drawn by the program and as if read by two models, in SQLite and, where its server
is installed, in PostgreSQL, and prints as Markdown how long the page's script takes, without a browser: each view, each
filter, a leaf far back, an entry opened. Takes about two minutes.
"""

import os
import statistics
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta

import numpy as np
from streamlit.testing.v1 import AppTest

from digit_core.database import Database
from digit_core.feedback import FeedbackStore
from digit_core.settings import ROOT
from digit_core.strokes import render
from digit_core.synthetic import draw_digit
from digit_core.types import Drawing, Feedback
from tests.postgres import find_programs, make_database, run_server

ENTRIES = 20_000
REPEATS = 7
CHUNK = 500


def fill(store: FeedbackStore, count: int) -> None:
    """Two models that are right in 97 and 95 % of cases, three visitors, half a year."""
    rng = np.random.default_rng(0)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    entries = []
    for number in range(count):
        digit = number % 10
        strokes = draw_digit(digit, rng)
        answers = tuple(
            {
                "model_id": model_id,
                "sha256": "0" * 64,
                "digit": digit if rng.random() < share else int(rng.integers(10)),
                "confidence": float(rng.beta(8, 1)),
            }
            for model_id, share in (("cnn", 0.97), ("ann", 0.95))
        )
        entries.append(
            Feedback(
                str(uuid.uuid4()),
                start + timedelta(minutes=13 * number),
                f"session {number // 20}",
                Drawing(strokes),
                "canvas",
                render(strokes),
                answers,
                digit if rng.random() < 0.98 else None,
                (None, "5a", "5b", "Zoë")[number % 4],
            )
        )
        if len(entries) == CHUNK:
            store.add_all(entries)
            entries = []
    store.add_all(entries)


def measure(url: str, count: int) -> dict[str, list[float]]:
    """Fill a database; milliseconds of each rerun of the page, by what it shows."""
    os.environ["DIGIT_LAB_DATABASE_URL"] = url
    with closing(FeedbackStore(url)) as store:
        fill(store, count)
    app = AppTest.from_file(ROOT / "pages" / "_router.py", default_timeout=60).run()
    app.switch_page("feedback.py").run()
    took: dict[str, list[float]] = {}

    def rerun(name: str) -> None:
        took[name] = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            app.run()
            took[name].append(1000 * (time.perf_counter() - start))
        if app.exception:
            raise RuntimeError(app.exception[0].message)

    def view(name: str) -> None:
        app.segmented_control(key="view").set_value(name).run()

    filters = {
        "a digit": lambda: app.multiselect(key="digits").set_value([7]),
        "a model": lambda: app.selectbox(key="said_model").set_value("ann"),
        "a person": lambda: app.selectbox(key="by").set_value("Zoë"),
        "a kind of input": lambda: app.multiselect(key="kinds").set_value(["canvas"]),
        "days": lambda: app.date_input(key="days").set_value((datetime(2026, 2, 1), datetime(2026, 4, 1))),
    }
    verdicts = ("right", "wrong", "collected", "unjudged", "deleted")
    for verdict in verdicts:
        filters[verdict] = lambda verdict=verdict: app.selectbox(key="said_verdict").set_value(verdict)
    for name in ("statistics", "drawings"):
        view(name)
        rerun(name)
        for words, choose in filters.items():
            if name == "drawings" or words not in verdicts:
                choose()
                rerun(f"{name}, {words}")
                app.switch_page("train.py").run()
                app.switch_page("feedback.py").run()
    app.number_input(key="leaf").set_value(count // 24).run()
    rerun("drawings, the last leaf")
    next(button for button in app.button if button.label == "Open").click()
    rerun("a drawing, opened")
    for name in ("doubtful", "files"):
        view(name)
        rerun(name)
    return took


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES
    with ExitStack() as stack:
        folder = os.environ["DIGIT_LAB_MODELS"] = stack.enter_context(tempfile.TemporaryDirectory())
        took = {"SQLite": measure(f"sqlite:///{folder}/feedback.sqlite3", count)}
        if programs := find_programs():
            url = make_database(stack.enter_context(run_server(programs)))
            with closing(Database(url)) as database:
                database.migrate()
            took["PostgreSQL"] = measure(url, count)
    print(f"| with {count:,} entries, ms |" + "".join(f" {name}, median | longest |" for name in took))
    print("|---|" + "---:|" * 2 * len(took))
    for name in took["SQLite"]:
        cells = (f" {statistics.median(each[name]):.0f} | {max(each[name]):.0f} |" for each in took.values())
        print(f"| {name} |" + "".join(cells))


if __name__ == "__main__":
    main()
