"""One run, as it goes and after it has ended."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.charts import chart_confusion, leave_data_out
from digit_core.diary import STEPS, read_events
from digit_core.errors import DigitError, ModelUnavailable
from digit_core.model_store import load_evaluation, load_info, model_folder
from digit_core.run_queue import Place, find_places
from digit_core.settings import Settings, read_settings
from digit_core.training_charts import chart_runs, chart_training, tabulate_training
from digit_core.types import Run, TrainEvent, name_of
from pages._comparison import show_changes, show_comparison
from pages._run_actions import offer_actions
from pages._shared import estimate, percent, session_id, show_pictures, tell, told_errors

BEST_BEFORE = "best before"
METRICS = ("accuracy", "loss")
REFRESH = 0.9  # seconds
JOB_START = 20.0  # seconds, about, that a job on a cluster takes until it trains
LOG_BYTES = 4000  # of a worker's last words
state = st.session_state


def follow_link() -> None:
    """Go where an action of a run leads, which only a page's own script can."""
    if page := state.pop("go_to", None):
        st.switch_page(page)


def can_train(settings: Settings) -> bool:
    """Whether anything can be trained; tells why not."""
    with told_errors():
        runs.check_launcher(settings)
        return True
    return False


def watch_run(watched: Run, ghost: str | None, settings: Settings) -> None:
    """Show a run, anew every second while it is under way; ghost: a run to compare with."""
    state.pop("acted", None)  # the page is being shown anew

    @st.fragment(run_every=REFRESH if watched.status in runs.ACTIVE else None)
    def watch(run_id: str) -> None:
        if state.pop("acted", False):
            st.rerun()
        with told_errors():
            try:
                run = runs.load_run(run_id, settings)
            except ModelUnavailable:  # its folder was taken away
                state.pop("watched_run", None)
                state.note = f"{run_id} is not there any more."
                st.rerun()
            show_run(run, ghost, settings)
            if run.status != watched.status:
                st.rerun()

    watch(watched.run_id)


def show_run(run: Run, ghost: str | None, settings: Settings) -> None:
    """Status, progress, curves, pictures and what can be done with one run; ghost: a run to compare with."""
    events = read_events(model_folder(run.run_id, settings))
    steps = [event for event in events if event.kind in STEPS]
    st.header(f"{run.run_id}: {run.status}", anchor=False)
    _show_status(run, events, settings)
    learned = run.status == "finished" and run.config.base_model_id is not None
    if learned:
        show_comparison(run, settings)
    with st.container(horizontal=True, key="run_actions"):
        offer_actions(run, settings)
    if learned:
        show_changes(run, settings)
    if steps:
        specs = _specs(BEST_BEFORE if ghost else "")
        tables = _tables(run.run_id, ghost)
        for column, metric in zip(st.columns(2), METRICS, strict=True):
            chart = tables[metric], specs[metric]
            column.vega_lite_chart(*chart, key=f"{metric}_{run.run_id}", alt=f"{metric} over the epochs")
        words = (
            "Of training, the pale line shows each batch, the bold one their running mean; validation has its points."
        )
        if ghost:
            words = f"{words} The dashed line is the validation of {name_of(ghost)}, the best such run before."
        st.caption(words)
    answers = next((event.answers for event in reversed(steps) if event.answers), None)
    sample = runs.load_pictures(run.run_id, "sample", settings)
    if answers and sample is not None and len(sample.images) == len(answers) and run.status != "finished":
        right = sum(said == true for said, true in zip(answers, sample.y_true.tolist(), strict=True))
        st.markdown(f"**Validation digits, as it reads them now**: {right} of {len(answers)} right")
        show_pictures(sample, answers, "sample")
    if run.status == "finished":
        _show_result(run, settings)


def show_curves(run_ids: Sequence[str], settings: Settings) -> None:
    """Validation accuracy and loss of several runs, laid over each other."""
    events = {run_id: read_events(model_folder(run_id, settings)) for run_id in run_ids}
    for column, metric in zip(st.columns(2), METRICS, strict=True):
        words = f"Validation {metric} of the chosen runs over the seconds of training"
        column.altair_chart(chart_runs(events, metric), key=f"compared_{metric}", alt=words)


def _show_status(run: Run, events: list[TrainEvent], settings: Settings) -> None:
    last = events[-1] if events else TrainEvent("queued", 0.0)
    done = max((event.epoch for event in events if event.kind == "epoch"), default=0)
    resumable = f"Resume goes on after epoch {done}." if done else "Resume starts it again."
    if run.config.base_model_id:
        resumable = "Begin anew on the page Learn."
    if run.status in runs.ACTIVE and runs.is_stopping(run.run_id, settings):
        st.info("Stopping…", icon=":material/hourglass:")
    elif run.status == "queued":
        _show_place(run, settings)
    elif run.status == "running" and last.kind in STEPS:
        batches, epochs = last.batches_per_epoch, run.config.epochs
        share = (last.epoch - 1 + last.batch / batches) / epochs
        _show_progress(run, last, f"Epoch {last.epoch} of {epochs}, batch {last.batch:,} of {batches:,}", share)
    elif run.status == "running":
        words = last.message or "Getting ready"
        if last.share is not None:
            words = f"{words}: {percent(last.share, 0)}"
        _show_progress(run, last, words, done / run.config.epochs)
    elif run.status == "finished":
        st.success(f"Finished: it reads {last.message}." if last.message else "Finished.", icon=":material/check:")
    elif run.status == "failed":
        tell(f"Failed: {last.message} {resumable}")
        _show_log(run, settings)
    elif run.status == "lost":
        st.error(
            f"Its process has ended unexpectedly: killed, out of memory, or the machine was shut down. {resumable}",
            icon=":material/error:",
        )
        _show_log(run, settings)
    else:
        st.warning(f"Stopped before its end: it left no model. {last.message} {resumable}", icon=":material/stop:")


def _show_progress(run: Run, last: TrainEvent, words: str, share: float) -> None:
    """A bar for the time of the whole run, with what is left of it; share: for where that is not known."""
    if last.eta_s is not None and run.started_at:
        passed = max(0.0, last.time - run.started_at.timestamp())
        left = max(0.0, last.eta_s - max(0.0, time.time() - last.time))
        share = passed / (passed + last.eta_s) if passed else 0.0
        words = f"{words}, {estimate(left)} left"
    st.progress(min(max(share, 0.0), 1.0), words)


def _show_place(run: Run, settings: Settings) -> None:
    if run.run_id not in _places(settings.models):
        _places.clear()
    place = _places(settings.models).get(run.run_id)
    is_next = place is not None and place.number == 1 and not place.behind_own
    waited = time.time() - run.queued_at.timestamp() if run.queued_at else 0.0
    if place is None or (is_next and (waited < JOB_START if settings.ray_address else place.seconds == 0)):
        st.progress(0.0, "Starting its process")
        return
    if settings.ray_address and is_next:
        words = "Waiting for room on the cluster, which is full: this run is the next that starts there."
        st.info(words, icon=":material/hourglass:")
        return
    words = f"place {place.number} of {place.of}, {estimate(place.seconds)} until it starts"
    reason = " One run of yours trains at a time." if place.behind_own and run.owner == session_id() else ""
    st.info(f"Waiting for its turn: {words}.{reason}", icon=":material/hourglass:")


def _show_log(run: Run, settings: Settings) -> None:
    try:
        log = (settings.models / run.run_id / "worker.log").read_bytes()[-LOG_BYTES:]
    except OSError:
        return
    with st.expander("What it said last"):
        st.code(log.decode(errors="replace"), language=None)


def _show_result(run: Run, settings: Settings) -> None:
    try:
        info = load_info(run.run_id, settings)
        evaluation = load_evaluation(info, settings)
    except DigitError as error:
        st.error(str(error), icon=":material/error:")
        return
    figures = {
        "Test accuracy": percent(info.test_accuracy, 2),
        "Test loss": f"{info.test_loss:.4f} nats",
        "Parameters": f"{info.parameters:,}",
        "Size": f"{info.size_bytes / 1e6:.2f} MB",
    }
    with st.container(horizontal=True, gap="large", key="figures"):
        for name, figure in figures.items():
            st.metric(name, figure, width="content")
    mistakes = runs.load_pictures(run.run_id, "mistakes", settings)
    left, right = st.columns(2)
    with left:
        st.markdown("**What it confuses** on the test images")
        chart = chart_confusion(evaluation.confusion_matrix)
        st.altair_chart(chart, key=f"confusion_{run.run_id}", alt="How often each digit was read as each other")
    with right:
        if mistakes is not None and len(mistakes.images):
            st.markdown(
                f"**Its {len(mistakes.images)} worst mistakes** of {len(evaluation.mistakes):,}, most confident first"
            )
            show_pictures(mistakes, mistakes.y_pred.tolist(), "mistakes")
        elif not len(evaluation.mistakes):
            st.markdown("It made no mistake on the test images.")


@st.cache_data(max_entries=32, show_spinner=False)
def _specs(ghost: str) -> dict[str, object]:
    """The charts without their data."""
    specs = {}
    for metric in METRICS:
        specs[metric] = leave_data_out(chart_training(tabulate_training([], metric, [], ghost), metric, ghost))
    return specs


@st.cache_data(ttl=1.0, max_entries=1, show_spinner=False)
def _places(models: Path) -> dict[str, Place]:
    """The queue in a folder of models; kept for a moment, so that many who wait cost little more than one."""
    return find_places(replace(read_settings(), models=models))


@st.cache_data(ttl=0.4, max_entries=32, show_spinner=False)
def _tables(run_id: str, ghost: str | None) -> dict[str, pd.DataFrame]:
    """The charts' data; kept for a moment, so that many who watch one run cost little more than one."""
    settings = read_settings()
    events = read_events(model_folder(run_id, settings))
    earlier = read_events(model_folder(ghost, settings)) if ghost else []
    return {metric: tabulate_training(events, metric, earlier, BEST_BEFORE if ghost else "") for metric in METRICS}
