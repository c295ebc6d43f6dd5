"""Choose a network, train it in a process of its own, watch it learn, stop it."""

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.architectures import check_tensorflow
from digit_core.charts import chart_training
from digit_core.datasets import find_mnist
from digit_core.settings import read_settings
from digit_core.types import Run, TrainConfig
from pages._shared import told_errors

REFRESH = 0.5  # seconds
ACTIVE = ("queued", "running")
DATASETS = {"mnist": "MNIST", "synthetic": "Synthetic digits", "mnist+synthetic": "MNIST and synthetic digits"}

settings = read_settings()
state = st.session_state


def start() -> None:
    """Start a run with the settings on the page."""
    config = TrainConfig(
        architecture=state.architecture,
        dataset=state.dataset,
        epochs=state.epochs,
        batch_size=state.batch_size,
        learning_rate=state.learning_rate,
        dropout=state.dropout,
        augment=state.augment,
        seed=state.seed,
    )
    with told_errors():
        state.watched_run = runs.start_run(config, settings)


def stop(run_id: str) -> None:
    with told_errors():
        runs.stop_run(run_id, settings)


def duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def pick() -> None:
    """Watch the run that was chosen in the table."""
    if rows := state.history.selection.rows:
        state.watched_run = state.listed_runs[rows[0]]


def show_run(run: Run) -> None:
    """Progress, time left and curves of one run."""
    events = runs.read_events(run.run_id, settings)
    last = events[-1] if events else None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{run.run_id}: {run.status}", anchor=False)
        if run.status in ACTIVE:
            st.button("Stop", icon=":material/stop:", on_click=stop, args=[run.run_id], key="stop")
    steps = [event for event in events if event.kind in ("batch", "epoch")]
    if run.status == "queued":
        st.info("Waiting for its turn: one run trains at a time.", icon=":material/hourglass:")
    elif run.status == "running" and not steps:
        st.progress(0.0, (last and last.message) or "Getting ready: images and TensorFlow take some seconds.")
    elif run.status == "running":
        step = steps[-1]
        epochs, batches = run.config.epochs, step.batches_per_epoch
        share = (step.epoch - 1 + step.batch / batches) / epochs
        words = f"Epoch {step.epoch} of {epochs}, batch {step.batch:,} of {batches:,}, {duration(step.eta_s or 0)} left"
        st.progress(min(share, 1.0), words)
    elif run.status == "finished" and last:
        st.success(
            f"Finished: it reads {last.message}. The page Draw lists it among the models that read.",
            icon=":material/check:",
        )
    elif run.status == "failed" and last:
        st.error(f"Failed: {last.message}", icon=":material/error:")
    elif run.status == "lost":
        st.error(
            "Its process ended without a word. Its folder holds worker.log; start it again.", icon=":material/error:"
        )
    else:
        st.warning("Stopped before its end: it left no model.", icon=":material/stop:")
    if steps:
        for column, metric in zip(st.columns(2), ("accuracy", "loss"), strict=True):
            chart = chart_training(events, metric)
            column.altair_chart(chart, alt=f"{metric} over the epochs", key=f"{metric}_{run.run_id}")


st.title("Train a network")
can_train = False
with told_errors():
    check_tensorflow()
    can_train = True
has_mnist = find_mnist(settings) is not None
left, right = st.columns([1, 2], gap="large")
with left:
    st.segmented_control(
        "Network",
        ["ann", "cnn"],
        default="cnn",
        required=True,
        format_func=str.upper,
        key="architecture",
        help="ANN: two dense layers. CNN: three blocks of convolutions.",
        persist_state="session",
    )
    st.selectbox(
        "Training images",
        list(DATASETS),
        index=0 if has_mnist else 1,
        format_func=DATASETS.__getitem__,
        key="dataset",
        persist_state="session",
    )
    if not has_mnist:
        st.caption(
            "MNIST is not on this machine: choosing it downloads 11 MB first. Synthetic digits, drawn by the program, "
            "are here at once."
        )
    st.slider("Epochs", 1, 30, 3, key="epochs", help="Times through the training images", persist_state="session")
    with st.expander("More settings"):
        defaults = TrainConfig()
        kept = {"persist_state": "session"}
        st.select_slider("Batch size", [32, 64, 128, 256, 512], defaults.batch_size, key="batch_size", **kept)
        st.number_input(
            "Learning rate", 1e-6, 1.0, defaults.learning_rate, 1e-3, format="%.4f", key="learning_rate", **kept
        )
        st.slider("Dropout", 0.0, 0.9, defaults.dropout, key="dropout", help="Share of units left out", **kept)
        help = "Turn, stretch, slant, thicken and thin the images"
        st.toggle("Augment", defaults.augment, key="augment", help=help, **kept)
        st.number_input("Seed", 0, 2**31 - 1, defaults.seed, key="seed", help="The same seed, the same start", **kept)
    st.button(
        "Train",
        type="primary",
        icon=":material/play_arrow:",
        on_click=start,
        key="train",
        width="stretch",
        disabled=not can_train,
    )

with right, told_errors():
    history = runs.list_runs(settings)
    active = [run for run in history if run.status in ACTIVE]
    watched = next((run for run in history if run.run_id == state.get("watched_run")), None)
    watched = watched or (active or history or [None])[0]

    @st.fragment(run_every=REFRESH if watched and watched.status in ACTIVE else None)
    def watch(run_id: str) -> None:
        with told_errors():
            run = runs.load_run(run_id, settings)
            show_run(run)
            if watched and run.status != watched.status:
                st.rerun()

    if watched:
        watch(watched.run_id)
    else:
        st.info(
            "Nothing has been trained here yet. Press Train, and watch accuracy rise and loss fall.",
            icon=":material/school:",
        )
    if history:
        st.subheader("Runs", anchor=False)
        table = pd.DataFrame(
            {
                "run": [run.run_id for run in history],
                "status": [run.status for run in history],
                "images": [run.config.dataset for run in history],
                "epochs": [run.config.epochs for run in history],
                "started": pd.to_datetime([run.started_at for run in history], utc=True),
            }
        )
        state.listed_runs = [run.run_id for run in history]
        st.dataframe(
            table,
            hide_index=True,
            column_config={"started": st.column_config.DatetimeColumn(format="D MMM, HH:mm", timezone="UTC")},
            on_select=pick,
            selection_mode="single-row",
            key="history",
        )
