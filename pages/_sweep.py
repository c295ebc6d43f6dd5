"""Several trainings at once: in what they differ, what becomes of them, and which is best."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.diary import read_epochs
from digit_core.errors import DigitError
from digit_core.evaluation import interval
from digit_core.model_card import tell_value
from digit_core.model_store import model_folder
from digit_core.presets import forecast
from digit_core.settings import Settings, read_settings
from digit_core.sweep_charts import chart_parallel, chart_sweep
from digit_core.sweeps import (
    MOST_RUNS,
    VARIABLE,
    Trial,
    Values,
    compare_trials,
    find_best,
    list_sweeps,
    plan_sweep,
    read_values,
)
from digit_core.types import FOR_ANN, FOR_CNN, Sweep, TrainConfig
from pages._form import words_of
from pages._run_actions import offer_model_actions, offer_stop_all, start_sweep
from pages._shared import estimate, percent, pressed, tell, told_errors

REFRESH = 2.0  # seconds
MOST_VARIED = 3  # settings
KEPT = {"persist_state": "session"}
state = st.session_state


def ask_sweep(base: TrainConfig | None, settings: Settings, pace: float) -> None:
    """Ask in what the runs of a sweep differ, and start it; base: the settings that they share."""
    st.caption("Train several networks that differ in what you choose here, all else as it stands in the form.")
    names = [name for name in VARIABLE if name not in _unread(base)]
    state.varied = [name for name in state.get("varied", []) if name in names]
    help = "Up to three"
    varied = st.multiselect(
        "In what they differ", names, format_func=words_of, key="varied", max_selections=MOST_VARIED, help=help, **KEPT
    )
    for name in varied:
        st.text_input(
            f"{words_of(name)}: values",
            key=f"try_{name}",
            placeholder=_example(name),
            help="One after the other; or, to draw from, the least and the greatest with two dots between them",
            **KEPT,
        )
    st.number_input("Drawn by chance", 0, MOST_RUNS, key="drawn", help="So many runs; 0: every combination", **KEPT)
    st.number_input(
        "Time (minutes)", 0, 10_000, key="minutes", help="All are stopped that are not done then; 0: no limit", **KEPT
    )
    st.toggle("Stop those that lag behind", key="prune", help="By validation accuracy, at the ends of epochs", **KEPT)
    st.text_input("Name of the sweep (optional)", key="sweep_name", max_chars=runs.MOST_OF_NAME, **KEPT)
    configs = _plan(base, varied, settings)
    if configs:
        seconds = sum(sum(forecast(config, settings, pace)) for config in configs)
        if settings.ray_address:
            words = f"{estimate(seconds)} on one machine of the cluster, less on several"
        elif settings.parallel_runs == 1:
            words = f"in turn, {estimate(seconds)}"
        else:
            words = f"{settings.parallel_runs} at a time, {estimate(seconds / settings.parallel_runs)}"
        st.caption(f"{len(configs)} runs: {words}.")
    st.button(
        "Start the sweep",
        icon=":material/stacked_line_chart:",
        key="start_sweep",
        on_click=_start,
        args=[configs, settings],
        disabled=not configs,
    )


def _unread(base: TrainConfig | None) -> tuple[str, ...]:
    """The kind of network, which the form asks for, and the settings that it does not read."""
    others = () if base is None else FOR_CNN if base.architecture == "ann" else FOR_ANN
    return ("architecture", *others)


def _example(name: str) -> str:
    default = getattr(TrainConfig(), name)
    if isinstance(default, tuple):
        return "256; 512, 256"
    if isinstance(default, bool):
        return "yes, no"
    return f"{tell_value(default)}, …"


def _plan(base: TrainConfig | None, varied: Sequence[str], settings: Settings) -> list[TrainConfig]:
    """The settings of the runs, none while something is missing or wrong, which a sentence says."""
    texts = {name: state.get(f"try_{name}", "") for name in varied}
    if base is None or not texts or not all(text.strip() for text in texts.values()):
        return []
    try:
        values: dict[str, Values] = {name: read_values(name, text) for name, text in texts.items()}
        configs = plan_sweep(base, values, settings, state.drawn, base.seed)
    except DigitError as error:
        tell(str(error))
        return []
    return configs


def _start(configs: list[TrainConfig], settings: Settings) -> None:
    with pressed() as counts, told_errors():
        if counts:
            state.pop("problem", None)
            sweep = start_sweep(configs, settings, state.sweep_name, state.prune, 60.0 * state.minutes)
            state.watched_sweep, state.sweep_name = sweep.sweep_id, ""
            state.watched_run, state.just_swept = sweep.run_ids[0], True


def show_sweeps(settings: Settings) -> None:
    """The newest sweep, or the one that is chosen: its runs in a table and as lines, and the best of them."""
    found = {sweep.sweep_id: sweep for sweep in list_sweeps(settings)}
    if not found:
        return
    with st.container(key="sweep"):
        st.header("Sweeps", anchor=False)
        if state.get("watched_sweep") not in found:
            state.watched_sweep = next(iter(found))
        if len(found) > 1:
            st.selectbox("Sweep", list(found), key="watched_sweep", width=360, persist_state="session")
        _watch(found[state.watched_sweep], settings)


def _watch(sweep: Sweep, settings: Settings) -> None:
    """Show a sweep, anew every few seconds while it is under way."""
    before = _count_active(_compare(sweep, settings.models))

    @st.fragment(run_every=REFRESH if before else None)
    def watch() -> None:
        if state.pop("acted", False):
            st.rerun()
        with told_errors():
            trials = _compare(sweep, settings.models)
            _show(sweep, trials, settings)
            if _count_active(trials) != before:
                st.rerun()

    watch()


@st.cache_data(ttl=1.0, max_entries=32, show_spinner=False)
def _compare(sweep: Sweep, models: Path) -> list[Trial]:
    """The runs of a sweep; kept for a moment, so that many who look cost little more than one."""
    return compare_trials(sweep, replace(read_settings(), models=models))


def _count_active(trials: Sequence[Trial]) -> int:
    return sum(trial.run.status in runs.ACTIVE for trial in trials)


def _show(sweep: Sweep, trials: list[Trial], settings: Settings) -> None:
    best = find_best(trials)
    best_id = best.run.run_id if best else None
    active = _count_active(trials)
    with st.container(horizontal=True, vertical_alignment="center", key="sweep_actions"):
        if active:
            done = len(trials) - active
            share = sum(trial.epochs / trial.run.config.epochs for trial in trials if trial.run.status in runs.ACTIVE)
            st.progress(
                min(1.0, (done + share) / len(trials)), f"{sweep.sweep_id}: {done} of {len(trials)} runs are over"
            )
            offer_stop_all(sweep, settings)
    if best and best.right:
        st.markdown(_praise(best, trials, " so far" if active else ""))
        with st.container(horizontal=True, key="best_actions"):
            offer_model_actions(best.run.run_id, settings, delete="", prefix="best_")
    _show_table(sweep, trials, best_id)
    if any(trial.right for trial in trials):
        left, right = st.columns(2, gap="large")
        names = {name: words_of(name) for name in sweep.varied}
        with left:
            st.markdown("**Which settings read best**")
            words = "Each run as a line over its settings to its validation accuracy, the best one in orange"
            st.altair_chart(chart_parallel(trials, best_id, names), key=f"parallel_{sweep.sweep_id}", alt=words)
        with right:
            st.markdown("**How they learned**")
            events = {trial.run.run_id: read_epochs(model_folder(trial.run.run_id, settings)) for trial in trials}
            words = "The validation accuracy of each run over the epochs, the best one's in orange"
            st.altair_chart(chart_sweep(events, best_id), key=f"curves_{sweep.sweep_id}", alt=words)


def _praise(best: Trial, trials: Sequence[Trial], when: str) -> str:
    total, correct = best.right or (1, 0)
    low, high = interval(total, correct)
    rivals = [trial for trial in trials if trial.run.status == "finished" and trial.right and trial is not best]
    as_good = sum(interval(*trial.right)[1] >= best.accuracy for trial in rivals if trial.right)
    words = (
        f"**{best.run.run_id}** is the best{when}: {percent(best.accuracy, 2)} of {best.images} validation images "
        f"right (95 % interval {percent(low, 2)} to {percent(high, 2)})."
    )
    if as_good:
        others = "One other" if as_good == 1 else f"{as_good} others"
        words += f" {others} may be as good: chance alone makes such differences."
    return words


def _show_table(sweep: Sweep, trials: Sequence[Trial], best: str | None) -> None:
    def show_interval(trial: Trial) -> str | None:
        if trial.right is None:
            return None
        low, high = interval(*trial.right)
        return f"{100 * low:.2f} to {100 * high:.2f}"

    table = pd.DataFrame(
        {
            "run": [trial.run.run_id for trial in trials],
            "best": ["best" if trial.run.run_id == best else "" for trial in trials],
            "status": [trial.run.status for trial in trials],
            **{words_of(name): [tell_value(trial.values[name]) for trial in trials] for name in sweep.varied},
            "validation": [100 * trial.accuracy if trial.right else None for trial in trials],
            "interval": [show_interval(trial) for trial in trials],
            "test": [None if trial.test_accuracy is None else 100 * trial.test_accuracy for trial in trials],
            "epochs": [f"{trial.epochs} of {trial.run.config.epochs}" for trial in trials],
            "took": [trial.run.elapsed_s for trial in trials],
        }
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "run": st.column_config.TextColumn(pinned=True),
            "validation": number("validation right", format="%.2f %%"),
            "interval": st.column_config.TextColumn("95 % interval (%)"),
            "test": number("test images right", format="%.2f %%"),
            "took": number("seconds of training", format="%.0f"),
        },
        placeholder="–",
        key=f"trials_{sweep.sweep_id}",
        alt="The runs of the sweep with their settings and accuracies, the best first",
    )
