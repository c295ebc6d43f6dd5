"""A sweep of six short trainings on a Ray cluster of two machines, one of which is killed meanwhile, and in turn here.

`python -m tests.benchmarks.cluster`: as Markdown, the accuracy of each run, and how long each sweep took.
"""

import dataclasses
import itertools
import sys
import tempfile
import time
from pathlib import Path

from digit_core import runs
from digit_core.diary import read_events
from digit_core.model_store import load_info
from digit_core.settings import ROOT, Settings, read_settings
from digit_core.sweeps import plan_sweep, start_sweep
from digit_core.types import TrainConfig

sys.path.insert(0, str(ROOT / "tests"))
from ray_nodes import Cluster, kill, run_cluster

BASE = TrainConfig("ann", dataset="mnist", hidden_units=(256,), epochs=4, batch_size=256)
VARIED = {"learning_rate": (1e-3, 4e-3), "dropout": (0.0, 0.1, 0.2)}
POLL = 0.2  # seconds


def sweep(settings: Settings, cluster: Cluster | None) -> tuple[float, list[str], list[float], list[list[str]]]:
    """Run the sweep; return its seconds, and of each run the status, the test accuracy and the machines it was on."""
    start = time.monotonic()
    run_ids = start_sweep(plan_sweep(BASE, VARIED, settings), settings, "s").run_ids
    folders = [settings.models / run_id for run_id in run_ids]
    killed = False
    while any(runs.load_run(run_id, settings).status in runs.ACTIVE for run_id in run_ids):
        time.sleep(POLL)
        if cluster and not killed and sum(_is_training(folder) for folder in folders) >= 2:
            kill(cluster.nodes[1])
            killed = True
            print("One machine is killed.", file=sys.stderr)
    statuses = [runs.load_run(run_id, settings).status for run_id in run_ids]
    for folder, status in zip(folders, statuses, strict=True):
        if status != "finished":
            sys.exit(
                f"{folder.name} is {status}: {read_events(folder)[-1].message} {(folder / 'worker.log').read_text()}"
            )
    accuracies = [load_info(run_id, settings).test_accuracy for run_id in run_ids]
    return time.monotonic() - start, list(statuses), accuracies, [_machines(folder) for folder in folders]


def _is_training(folder: Path) -> bool:
    """Whether a run has an epoch behind it and some before it."""
    done = [event.epoch for event in read_events(folder) if event.kind == "epoch"]
    return bool(done) and done[-1] < BASE.epochs


def _machines(folder: Path) -> list[str]:
    told = [event.message for event in read_events(folder)]
    return [message.rsplit(maxsplit=1)[1] for message in told if message.startswith("Placed on")]


def main() -> None:
    """Print a Markdown table."""
    settings = read_settings()
    with tempfile.TemporaryDirectory() as folder:
        alone = dataclasses.replace(settings, models=Path(folder) / "alone", ray_address=None)
        took_alone, statuses_alone, here, _ = sweep(alone, None)
        with run_cluster(2, 2) as cluster:
            shared = dataclasses.replace(settings, models=Path(folder) / "shared", ray_address=cluster.address)
            took, statuses, there, machines = sweep(shared, cluster)
    print("| run | here, test right, % | cluster, test right, % | apart, points | machines |\n|---|---:|---:|---:|---|")
    names = {name: f"{number}" for number, name in enumerate(dict.fromkeys(itertools.chain(*machines)), 1)}
    for number, (one, other, used) in enumerate(zip(here, there, machines, strict=True), 1):
        words = " then ".join(names[name] for name in used)
        print(f"| {number} | {100 * one:.2f} | {100 * other:.2f} | {100 * (other - one):+.2f} | {words} |")
    print(f"\nModels: {statuses_alone.count('finished')} and {statuses.count('finished')} of {len(here)}.")
    print(f"Time: {took_alone:.0f} s in turn, {took:.0f} s on the cluster, whose two machines share these cores.")


if __name__ == "__main__":
    main()
