"""Training on a cluster, and sweeps, as people see them."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from live import run_server
from ray_nodes import run_cluster
from test_train import LONG, RUNNING, choose, press, train
from visitor import expect

from digit_core import runs
from digit_core.model_store import to_json
from digit_core.settings import STARTERS
from digit_core.types import Sweep

pytestmark = pytest.mark.slow
SOON = 60_000  # milliseconds


@pytest.mark.cluster
def test_a_run_on_a_cluster_is_stopped_and_resumed_while_the_server_is_restarted(
    visit, isolate, lend_bank, tmp_path: Path
):
    lend_bank(tmp_path / "data")
    with run_cluster(2) as cluster:
        variables = isolate(tmp_path) | {"DIGIT_LAB_RAY_ADDRESS": cluster.address}
        with run_server(tmp_path, variables) as server:
            watching = train(choose(visit("/train", server=server), "ANN", 900))
            expect(watching.page.get_by_text(RUNNING)).to_be_visible(timeout=LONG)
            press(watching, "Stop")
            expect(watching.page.get_by_text("Stopped before its end")).to_be_visible(timeout=SOON)
            (run,) = runs.list_runs(server.settings)
            done = run.elapsed_s
            press(watching, "Resume")
            expect(watching.page.get_by_role("heading", name=re.compile(r": (queued|running)$"))).to_be_visible()
            watching.leave()
        with run_server(tmp_path, variables) as server:
            again = visit("/train", server=server)
            expect(again.page.get_by_text(RUNNING)).to_be_visible(timeout=LONG)
            again.wait_for(
                lambda: runs.load_run(run.run_id, server.settings).elapsed_s > done + 1, "training did not go on"
            )
            press(again, "Stop")
            expect(again.page.get_by_text("Stopped before its end")).to_be_visible(timeout=SOON)
            again.leave()


def test_a_sweep_is_planned_watched_and_stopped(visit, server):
    visitor = choose(visit("/train"), "ANN", 500)
    page = visitor.page
    page.get_by_text("Sweep: try several settings").click()
    page.get_by_role("combobox", name="In what they differ").click()
    page.keyboard.type("Dropout")
    page.get_by_role("option", name="Dropout").click()
    visitor.settle()
    page.keyboard.press("Escape")
    field = page.get_by_role("textbox", name="Dropout: values")
    field.fill("0, 0.2")
    field.press("Enter")
    expect(page.get_by_text("2 runs: in turn")).to_be_visible()
    visitor.settle()
    page.locator(".st-key-start_sweep button").click()
    expect(page.locator(".st-key-sweep")).to_be_in_viewport()
    expect(page.get_by_text("0 of 2 runs are over")).to_be_visible()
    curves = page.locator(".st-key-sweep").get_by_test_id("stVegaLiteChart")
    expect(curves).to_have_count(2, timeout=LONG)
    page.locator(".st-key-sweep_actions").get_by_role("button", name="Stop all").click()
    expect(page.get_by_text("runs are over")).to_have_count(0, timeout=SOON)
    expect(page.locator(".st-key-stop_all")).to_have_count(0)
    assert {run.status for run in runs.list_runs(server.settings) if run.sweep} == {"stopped"}


def test_the_best_of_a_sweep_is_drawn_with(visit, server, keep_run):
    done = ("queued", "started", "batch", "epoch", "finished")
    for number in (1, 2):
        folder = keep_run(f"both-{number}", *done, settings=server.settings)
        for path in (STARTERS / "ann").iterdir():
            if path.name != "config.json":
                shutil.copy(path, folder)
    sweep = Sweep("both", datetime.now(UTC), ("dropout",), ("both-1", "both-2"), False, 0.0)
    sweeps = server.settings.models / ".sweeps"
    sweeps.mkdir(exist_ok=True)
    (sweeps / "both.json").write_bytes(to_json(sweep))
    page = visit("/train").page
    expect(page.get_by_text("One other may be as good")).to_be_visible()
    page.locator(".st-key-best_actions").get_by_role("button", name="Draw with it now").click()
    expect(page.get_by_role("heading", name="Draw a digit")).to_be_visible()
