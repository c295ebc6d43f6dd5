"""Runs on a cluster of machines: each is a job of Ray's, https://docs.ray.io.

The job's process waits in the queue, on the head of the cluster. When its turn comes it hands the training to Ray as a
task, which Ray places where there is room, and begins again elsewhere when a machine is lost. Ray is imported here
alone, and only where `DIGIT_LAB_RAY_ADDRESS` is set.
"""

import importlib.util
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from digit_core.errors import DigitError, TrainingUnavailable
from digit_core.settings import Settings

CORES = 2  # of a machine, for each training
THREADS = {"TF_NUM_INTRAOP_THREADS": str(CORES), "TF_NUM_INTEROP_THREADS": "1"}
RESTARTS = 10  # on other machines
ANSWER_WAIT = 20.0  # seconds
POLL = 0.5  # seconds
REASON = 200  # characters
JOB_START_UP = 600.0  # seconds that the cluster has to start a job
SEEN_RUNNING = 10.0  # seconds that a job runs until its run speaks for itself
ASHA_FACTOR = 3  # the best third goes on at each rung
NO_FOLDER = 73  # exit code of a job that does not see its run's folder


def check_ray() -> None:
    """Raise TrainingUnavailable where Ray is not installed; it is not imported."""
    if importlib.util.find_spec("ray") is None:
        raise TrainingUnavailable(
            "DIGIT_LAB_RAY_ADDRESS is set, but Ray is not installed here. Run `pip install -r requirements-ray.txt`, "
            "or leave the setting out."
        )


def submit_run(
    folder: Path, address: str, program: Path, environ: Mapping[str, str], on_failure: Callable[[str], None]
) -> None:
    """Hand the run in a folder to the cluster as a job; on_failure is told why, if the job does not come to run.

    program: the folder, which the cluster sees, in which this package lies; environ: the variables from which it reads
    its settings. Raises TrainingUnavailable where Ray is not installed or the cluster does not answer.
    """
    check_ray()
    submitted: Future[None] = Future()
    arguments = folder.absolute(), address, program, environ, on_failure, submitted
    threading.Thread(target=_submit, args=arguments, daemon=True).start()
    try:
        submitted.result(ANSWER_WAIT)  # what Ray asks over HTTP has no limit of time
    except OSError as error:
        raise TrainingUnavailable(
            f"No Ray cluster answers at {address}. Start it with `ray start --head`, or correct DIGIT_LAB_RAY_ADDRESS."
        ) from error
    except Exception as error:  # whatever Ray raises for what a server, perhaps of another kind, has said
        reason = " ".join(str(error).split())[:REASON]
        raise TrainingUnavailable(
            f"What answers at {address} did not take the training: {reason or type(error).__name__}. Check that it is "
            "a Ray cluster of the same version, or correct DIGIT_LAB_RAY_ADDRESS."
        ) from error


def _submit(
    folder: Path,
    address: str,
    program: Path,
    environ: Mapping[str, str],
    on_failure: Callable[[str], None],
    submitted: "Future[None]",
) -> None:
    try:
        from ray.job_submission import JobSubmissionClient

        logging.getLogger("ray").setLevel(logging.WARNING)
        client = JobSubmissionClient(address)
        path, log = (shlex.quote(str(name)) for name in (folder, folder / "worker.log"))
        command = f"python -m digit_core train --resume {folder.name} --queued >> {log} 2>&1"
        job = client.submit_job(
            entrypoint=f"test -d {path} || exit {NO_FOLDER}; echo Its words are in {log}; {command}",
            submission_id=f"{folder.name}-{time.time_ns() // 1_000_000}",
            runtime_env={"env_vars": {**environ, "PYTHONPATH": str(program)}},
            metadata={"run": folder.name},
        )
    except BaseException as error:
        submitted.set_exception(error)
        return
    submitted.set_result(None)
    _follow(client, job, folder, on_failure)


def _follow(client: Any, job: str, folder: Path, on_failure: Callable[[str], None]) -> None:
    """Watch a job until it runs; what goes wrong later its run tells."""
    running_since, end = None, time.monotonic() + JOB_START_UP
    while running_since is None or time.monotonic() - running_since < SEEN_RUNNING:
        time.sleep(POLL)
        if running_since is None and time.monotonic() > end:
            on_failure("The cluster has not started its job for ten minutes. See the cluster's dashboard, and resume.")
            return
        try:
            info = client.get_job_info(job)
        except Exception:  # noqa: S112  # the cluster may be away for a moment, or for good: then its time runs out
            continue
        if info.status == "RUNNING":
            running_since = running_since or time.monotonic()
        elif info.driver_exit_code == NO_FOLDER:
            on_failure(
                f"The cluster does not see the folder {folder.parent}. Let DIGIT_LAB_MODELS name one on a volume that "
                "the server and all machines of the cluster have at the same path."
            )
        elif info.status == "FAILED":
            on_failure(f"Its job on the cluster failed as soon as it was started ({info.error_type}).")
        if info.status.is_terminal():
            return


def name_machine() -> str:
    """What tells the machine on which Ray placed this from others, where several may bear one name."""
    import ray

    return f"{socket.gethostname()}, node {ray.get_runtime_context().get_node_id()[:8]}"


def lags_by_asha(told: Sequence[tuple[str, int, float]], run_id: str, epoch: int, epochs: int, grace: int) -> bool:
    """Whether a run at the end of an epoch, of so many, lags behind others by Ray Tune's ASHA (Li et al. 2020).

    told: of all runs that are compared, each epoch's end in the order of time: run, epoch, validation accuracy; grace:
    the epoch at whose end runs are compared first.
    """
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    scheduler = ASHAScheduler("epoch", "accuracy", "max", epochs, grace, ASHA_FACTOR, stop_last_trials=False)
    trials: dict[str, SimpleNamespace] = {}
    for other, done, accuracy in told:
        if other not in trials:
            trials[other] = SimpleNamespace(trial_id=other)
            scheduler.on_trial_add(None, trials[other])
        decision = scheduler.on_trial_result(None, trials[other], {"epoch": done, "accuracy": accuracy})
        if (other, done) == (run_id, epoch):
            return bool(decision == TrialScheduler.STOP)
    return False


def train_on_cluster(
    train: Callable[[str, Settings], None], run_id: str, settings: Settings, should_cancel: Callable[[], bool]
) -> None:
    """Let Ray call `train`, with the run's id and settings, on a machine with room, again if that machine is lost.

    To be called in a job's process. Waits for the end, or until `should_cancel` says so. Raises the DigitError that
    `train` raises, and TrainingUnavailable when no machine of the cluster is large enough or too many were lost.
    """
    import ray

    ray.init(logging_level=logging.ERROR)
    most = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if most < CORES:
        raise TrainingUnavailable(
            f"A training takes {CORES} processor cores, and no machine of the cluster lends more than {most:g}. Start "
            f"Ray on another one, with `ray start --address=… --num-cpus={CORES}` or more, and resume."
        )
    place = ray.remote(num_cpus=CORES, max_retries=RESTARTS, max_calls=1, runtime_env={"env_vars": THREADS})
    task = place(train).options(name=run_id).remote(run_id, settings)
    while not ray.wait([task], timeout=POLL)[0]:
        if should_cancel():
            ray.cancel(task)
            return
    try:
        ray.get(task)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, DigitError) else error) from None
    except ray.exceptions.RayError as error:
        raise TrainingUnavailable(
            f"Ray could not bring the training to its end ({type(error).__name__}). See the cluster's dashboard, and "
            "resume."
        ) from error
