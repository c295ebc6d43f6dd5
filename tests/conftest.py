"""What all tests share: nothing of the person's own is touched, and a skip can be made a failure."""

import dataclasses
import gc
import json
import os
import shutil
import site
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from apptest import open_app
from filelock import FileLock
from images import HANDWRITING, SEVEN, read
from streamlit.testing.v1 import AppTest

from digit_core import runs
from digit_core.bank import Bank, load_bank
from digit_core.database import Database
from digit_core.datasets import load_mnist, load_synthetic
from digit_core.feedback import FeedbackStore
from digit_core.model_store import to_json, write_file
from digit_core.settings import STARTERS, Settings, read_settings
from digit_core.strokes import sketch
from digit_core.types import Dataset, EventKind, TrainConfig, TrainEvent

hypothesis.settings.register_profile("patient", deadline=None)  # a machine may be busy
hypothesis.settings.load_profile("patient")
KEPT = ("DIGIT_LAB_MNIST", "DIGIT_LAB_PEN_DIGITS")  # data sets that are only read
Report = pytest.TestReport | pytest.CollectReport


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        help="A test that would skip, for want of anything but a data set, fails instead.",
    )
    parser.addoption("--thorough", action="store_true", help="Slow tests try some five times as many random cases.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Report, Report]:
    return _refuse_skip((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Report, Report]:
    return _refuse_skip((yield), collector.config)


def _refuse_skip(report: Report, config: pytest.Config) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and config.getoption("--require-all"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        if not any(name in str(reason) and not os.environ.get(name) for name in KEPT):
            report.outcome, report.longrepr = "failed", f"--require-all was given. {reason}"
    return report


@pytest.fixture(scope="session")
def isolate() -> Callable[[Path], dict[str, str]]:
    """The variables that keep a process's models, feedback, downloads and home in an empty folder."""

    def variables(folder: Path) -> dict[str, str]:
        home = folder / "home"  # where Keras keeps its data sets and Streamlit its settings
        home.mkdir()
        return {name: str(Path(os.environ[name]).expanduser().resolve()) for name in KEPT if os.environ.get(name)} | {
            "DIGIT_LAB_MODELS": str(folder / "models"),
            "DIGIT_LAB_DATA": str(folder / "data"),
            "DIGIT_LAB_DATABASE_URL": f"sqlite:///{(folder / 'feedback.sqlite3').as_posix()}",
            "HOME": str(home),
            "USERPROFILE": str(home),
            "PYTHONUSERBASE": site.getuserbase(),  # packages that are installed below the real home
        }

    return variables


@pytest.fixture(autouse=True, scope="module")
def old_objects_are_not_looked_through() -> Iterator[None]:
    """Where Keras is imported, Streamlit collects garbage before each rerun, 0.3 s long among TensorFlow's objects."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def private(
    isolate: Callable[[Path], dict[str, str]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder in which everything lands that the code under test writes."""
    folder = tmp_path_factory.mktemp("private")
    for name, value in isolate(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture(scope="session")
def lend_bank(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], None]:
    """Put the bank of drawings and the synthetic digits, which take a while to draw, into a data folder."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    settings = dataclasses.replace(read_settings(), data=shared / "bank")
    with FileLock(shared / "bank.lock"):
        load_bank(settings)
        load_synthetic(settings)

    def lend(data: Path) -> None:
        shutil.copytree(settings.data, data, dirs_exist_ok=True)

    return lend


@pytest.fixture
def bank(lend_bank: Callable[[Path], None], private: Path) -> Bank:
    """What a network learns from that trains under this test."""
    settings = read_settings()
    lend_bank(settings.data)
    return load_bank(settings)


@pytest.fixture
def settings() -> Settings:
    """Where the code under test keeps its things."""
    return read_settings()


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No process is started; the ids of the runs that would have had one."""
    started: list[str] = []
    monkeypatch.setattr(runs, "_start_process", lambda run_id, settings: started.append(run_id))
    return started


@pytest.fixture
def keep_run() -> Iterator[Callable[..., Path]]:
    """Write a run's folder by hand, as its process would have done `age` seconds ago; it goes when the test ends."""
    folders = []

    def write(
        run_id: str, *kinds: EventKind, age: float = 60.0, message: str = "", settings: Settings | None = None
    ) -> Path:
        """Keep events of these kinds; the message is the last one's."""
        folder = (settings or read_settings()).models / run_id
        folder.mkdir(parents=True)
        folders.append(folder)
        write_file(folder / "config.json", to_json(TrainConfig(dataset="synthetic", epochs=2)))
        metrics = {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.4, "val_accuracy": 0.9}
        start = time.time() - age
        events = [TrainEvent(kind, start + place, 1, 5, 10, metrics, 9.0) for place, kind in enumerate(kinds)]
        events[-1] = dataclasses.replace(events[-1], message=message)
        lines = [json.dumps(dataclasses.asdict(event)) for event in events]
        (folder / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    yield write
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def trained(keep_run: Callable[..., Path]) -> str:
    """A run that made a model: the starter ANN under another name."""
    folder = keep_run(
        "mine", "queued", "started", "batch", "epoch", "finished", message="99.32 % of 10,000 test images"
    )
    for name in ("metadata.json", "evaluation.json", "model.keras", "model.tflite"):
        shutil.copy(STARTERS / "ann" / name, folder)
    return "mine"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server, up to the name of a database."""
    pytest.importorskip("psycopg", reason="Run `pip install 'psycopg[binary]'`: it talks to PostgreSQL.")
    from postgres import find_programs, run_server

    programs = find_programs()
    if programs is None:
        pytest.skip("Install PostgreSQL (`apt-get install postgresql`): the feedback is kept in it too.")
    with run_server(programs) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, without tables, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feedback.sqlite3'}"
    server = request.getfixturevalue("postgres")
    from postgres import make_database

    return make_database(server)


@pytest.fixture
def url(empty_url: str) -> str:
    """The address of an empty database with its tables, of each kind."""
    with closing(Database(empty_url)) as database:
        database.migrate()
    return empty_url


@pytest.fixture
def store(url: str) -> Iterator[FeedbackStore]:
    """An empty feedback store in a database of each kind."""
    with closing(FeedbackStore(url)) as store:
        yield store


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether there is time for many random cases."""
    return pytestconfig.getoption("--thorough")


@pytest.fixture(scope="session")
def drawn() -> np.ndarray:
    """A seven on a canvas, `(280, 280) uint8`, white on black."""
    return sketch(SEVEN, 20)


@pytest.fixture(scope="session")
def plain(drawn: np.ndarray) -> np.ndarray:
    """What comes of it, `(28, 28) uint8`."""
    return read(drawn)


@pytest.fixture
def mine() -> Path:
    """The folder of a model of one's own: the starter ANN under another id."""
    return shutil.copytree(STARTERS / "ann", read_settings().models / "mine")


@pytest.fixture
def app() -> AppTest:
    """The dashboard on its first page, without a browser."""
    return open_app()


@pytest.fixture
def train(app: AppTest) -> AppTest:
    """The train page, without a browser."""
    return app.switch_page("train.py").run()


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """MNIST, from the file that `DIGIT_LAB_MNIST` names."""
    settings = read_settings()
    if settings.mnist is None:
        pytest.skip("Set DIGIT_LAB_MNIST to the path of an mnist.npz.")
    return load_mnist(settings)


@pytest.fixture(scope="session")
def handwriting() -> dict[int, tuple[np.ndarray, ...]]:
    """A digit each of 0-9 that every fair model reads: strokes `(K, 2) float64` in a square of 1 x 1, y down."""
    return {digit: tuple(np.array(stroke) / 100 for stroke in strokes) for digit, strokes in HANDWRITING.items()}
