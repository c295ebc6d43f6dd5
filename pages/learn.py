"""Teach a model what people said, see it before and after, take it or not, and go back."""

from dataclasses import replace

import streamlit as st

from digit_core import runs
from digit_core.errors import ModelUnavailable
from digit_core.feedback import FeedbackStore, share_store
from digit_core.learning import choose_lessons, plan_fine_tuning
from digit_core.model_store import find_previous, list_models, load_default
from digit_core.presets import forecast, measure_pace
from digit_core.selection import ALL
from digit_core.settings import read_settings
from digit_core.types import ModelInfo, Run, TrainConfig, name_of
from pages._operator import guarded_button
from pages._run import can_train, follow_link, watch_run
from pages._run_actions import let_read, show_outcome, start_run
from pages._shared import ask_days, choose_visitor, estimate, told_errors

settings = read_settings()
state = st.session_state
follow_link()


def start(plan: TrainConfig) -> None:
    """Start a lesson, or watch the same one that is under way: a double-click starts one."""
    state.pop("problem", None)
    with told_errors():
        same = (run.run_id for run in runs.list_runs(settings) if run.status in runs.ACTIVE and run.config == plan)
        state.watched_lesson = next(same, None) or start_run(plan, settings)


def go_back(model_id: str) -> None:
    with told_errors():
        let_read(model_id, settings)
        state.note = f"{name_of(model_id)} reads again."


def ask(store: FeedbackStore, infos: dict[str, ModelInfo]) -> None:
    """Which model learns, and from whom."""
    default, ids = load_default(settings), [info.model_id for info in infos.values() if not info.imported]
    if not ids:
        raise ModelUnavailable("There is no model that could learn. Restore models/ann and models/cnn, or train one.")
    first = ids.index(default) if default in ids else 0
    base = infos[st.selectbox("Model that learns", ids, first, name_of, key="base_model")]
    visitor = choose_visitor(store, "Whose drawings", "everybody's", "taught_by")
    plan = plan_fine_tuning(base, settings, visitor, *ask_days("learned_days"))
    which = choose_lessons(plan)
    total, misread = store.count(which), store.count(replace(which, verdict="wrong"))
    if not total and which != ALL:
        st.info("No drawing is among these. Choose other days, or somebody else.", icon=":material/search_off:")
    elif not total:
        st.info(
            "There is nothing to learn yet. On the page Draw, say which digit a misread drawing is; or let Collect ask "
            "for some.",
            icon=":material/draw:",
        )
    else:
        st.caption(
            f"Drawings: {total:,}; misread: {misread:,}. From five on, about a fifth is kept back to measure with; "
            "the others are mixed with many images that it knows. It takes "
            f"{estimate(sum(forecast(plan, settings, measure_pace(history))))}."
        )
    trainable = can_train(settings)
    st.button(
        "Learn",
        type="primary",
        icon=":material/school:",
        key="learn",
        width="stretch",
        on_click=start,
        args=[plan],
        disabled=not (total and trainable),
    )


def offer_way_back(infos: dict[str, ModelInfo]) -> None:
    """The model that reads now, if it learned from people, and the one that read before."""
    current = infos.get(load_default(settings))
    if current and current.parent_id:
        before = find_previous(settings)
        with st.container(border=True, key="way_back"):
            st.markdown(f"**{name_of(current.model_id)}** reads now. It began as **{name_of(current.parent_id)}**.")
            guarded_button(f"Go back to {name_of(before)}", ":material/undo:", go_back, [before], key="go_back")


def choose(lessons: list[Run]) -> Run:
    """The lesson that is watched: the newest, until another is started or chosen."""
    ids = [run.run_id for run in lessons]
    if state.get("watched_lesson") not in ids:
        state.watched_lesson = ids[0]
    if len(lessons) == 1:
        return lessons[0]
    chosen = st.selectbox("Lesson", ids, key="watched_lesson", persist_state="session", width=360)
    return lessons[ids.index(chosen)]


st.title("Learn from people")
with told_errors():
    history = runs.list_runs(settings)
    infos = {info.model_id: info for info in list_models(settings)}
    lessons = [run for run in history if run.config.base_model_id]
    left, right = st.columns([1, 2], gap="large")
    with left, told_errors():
        ask(share_store(settings.database_url), infos)
        offer_way_back(infos)
    with right, told_errors():
        show_outcome(settings)
        if lessons:
            watch_run(choose(lessons), None, settings)
        else:
            st.info(
                "Press Learn: a model learns what people said, and you see what it reads better and what it forgot "
                "before it reads for anybody.",
                icon=":material/school:",
            )
