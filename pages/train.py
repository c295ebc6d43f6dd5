"""Choose a network, train it in a process of its own, watch it learn, stop it, compare it with others."""

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.model_store import list_models
from digit_core.presets import measure_pace
from digit_core.settings import read_settings
from digit_core.types import Run, TrainConfig, name_of
from pages._form import ask_basics, ask_details, image_words, read_form, tell_settings
from pages._run import can_train, follow_link, show_curves, watch_run
from pages._run_actions import show_outcome, start_run
from pages._shared import MINUTES, pressed, told_errors
from pages._sweep import ask_sweep, show_sweeps

MOST_COMPARED = 8  # runs: as many as there are colours
# A run that was started lies below the form on a phone, and may lie above the screen elsewhere: it is brought there.
SHOW = """<script>
{
    const run = document.querySelector(".st-key-PLACE");
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth";
    const { top } = run.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) run.scrollIntoView({ behavior });
}
</script>"""

settings = read_settings()
state = st.session_state
follow_link()


def start(config: TrainConfig) -> None:
    """Start a run; the second press of a double-click is none."""
    with pressed() as counts, told_errors():
        if counts:
            state.pop("problem", None)
            state.watched_run = start_run(config, settings, state.run_name)
            state.just_started, state.run_name = True, ""


def pick() -> None:
    """Watch the run that was chosen in the table."""
    if rows := state[HISTORY]["selection"]["rows"]:
        state.watched_run = history[rows[0]].run_id


def find_ghost(run: Run) -> str | None:
    """The best earlier run of the same architecture on the same test images."""
    base = run.config.dataset.split("+")[0]
    rivals = [
        other.run_id
        for other in history
        if other.run_id != run.run_id
        and other.config.base_model_id is None
        and other.config.architecture == run.config.architecture
        and other.config.dataset.split("+")[0] == base
        and other.queued_at
        and run.queued_at
        and other.queued_at < run.queued_at
        and other.run_id in accuracies
    ]
    return max(rivals, key=accuracies.__getitem__, default=None)


def network_words(config: TrainConfig) -> str:
    layers = config.hidden_units if config.architecture == "ann" else (*config.filters, *config.dense_units)
    return f"{config.architecture.upper()} {'-'.join(map(str, layers))}"


def compare(chosen: list[Run]) -> None:
    """Curves of several runs laid over each other, and in what they differ."""
    st.header("Compared", anchor=False)
    show_curves([run.run_id for run in chosen], settings)
    table = pd.DataFrame({name_of(run.run_id): tell_settings(run.config) for run in chosen}).fillna("–")
    differing = table[table.nunique(axis=1) > 1]
    st.dataframe(differing, key="differences", alt="The settings in which these runs differ, a column for each run")


st.title("Train a network")
history, accuracies, pace = [], {}, 1.0
with told_errors():
    history = runs.list_runs(settings)
    accuracies = {info.model_id: info.test_accuracy for info in list_models(settings)}
    pace = measure_pace(history)
HISTORY = f"history_{hash(tuple(run.run_id for run in history))}"  # another list, another choice: it counts rows
left, right = st.columns([1, 2], gap="large")
with left:
    trainable = can_train(settings)
    ask_basics(settings)
    go = st.container()  # in sight on a small screen, above all that can be left as it is
    ask_details(settings)
    several = st.container()
    st.page_link("guide.py", label="What these words mean", icon=":material/menu_book:")
with go:
    config = read_form(settings, pace)
    with st.container(horizontal=True, vertical_alignment="bottom", key="go"):
        st.text_input("Name (optional)", key="run_name", max_chars=runs.MOST_OF_NAME, persist_state="session")
        st.button(
            "Train",
            type="primary",
            icon=":material/play_arrow:",
            on_click=start,
            args=[config],
            key="train",
            disabled=not trainable or config is None,
        )
    if config and state.run_name.strip():
        run_id = next(runs.propose_ids(config, settings, state.run_name), "")
        if run_id != state.run_name:
            st.caption(f"Run and model will be called {run_id}.")

with several, st.expander("Sweep: try several settings"):
    ask_sweep(config if trainable else None, settings, pace)

with right.container(key="run"), told_errors():
    active = [run for run in history if run.status in runs.ACTIVE]
    watched = next((run for run in history if run.run_id == state.get("watched_run")), None)
    watched = watched or next((run for run in active if run.status == "running"), (active or history or [None])[0])

    show_outcome(settings)
    if watched:
        watch_run(watched, find_ghost(watched), settings)
    else:
        st.info(
            "Nothing has been trained here yet. Press Train, and watch accuracy rise and loss fall.",
            icon=":material/school:",
        )

with told_errors():
    show_sweeps(settings)

if history:
    st.header("Runs", anchor=False)
    st.caption("Choose one to look at it, or several to lay their curves over each other.")
    table = pd.DataFrame(
        {
            "run": [name_of(run.run_id) for run in history],
            "status": [run.status for run in history],
            "network": [network_words(run.config) for run in history],
            "images": [image_words(run.config.dataset) for run in history],
            "epochs": [run.config.epochs for run in history],
            "right": [100 * accuracies[run.run_id] if run.run_id in accuracies else None for run in history],
            "took": [run.elapsed_s for run in history],
            "started": pd.to_datetime([run.started_at for run in history], utc=True),
        }
    )
    event = st.dataframe(
        table,
        hide_index=True,
        column_config={
            "right": st.column_config.NumberColumn("test images right", format="%.2f %%"),
            "took": st.column_config.NumberColumn("seconds of training", format="%.0f"),
            "started": st.column_config.DatetimeColumn("started (UTC)", format=MINUTES, timezone="UTC"),
        },
        placeholder="–",
        on_select=pick,
        selection_mode="multi-row",
        key=HISTORY,
        alt="All runs with their status, network, images, accuracy and time; Shift and Space choose the one in focus",
    )
    rows = [row for row in event["selection"]["rows"] if row < len(history)]
    if len(rows) > 1:
        with told_errors():
            compare([history[row] for row in rows[:MOST_COMPARED]])

for wanted, place in (("just_started", "run"), ("just_swept", "sweep")):
    if state.pop(wanted, False):
        st.html(SHOW.replace("PLACE", place), unsafe_allow_javascript=True)
