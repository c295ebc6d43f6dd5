"""What can be done with a run: started, stopped, resumed, deleted and brought back, used by one or by everyone."""

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from digit_core import runs, sweeps
from digit_core.model_store import CONFIG, find_previous, is_starter, load_default, model_folder, save_default
from digit_core.settings import Settings
from digit_core.types import Run, Sweep, TrainConfig, name_of
from pages._form import fill
from pages._operator import guarded_button, is_operator
from pages._shared import kept_errors, session_id, tell, told_errors

USE = "Use this model for everyone"
DELETING = "The run and its model; can be undone"
state = st.session_state
Action = Callable[[str, Settings], None]


def start_run(config: TrainConfig, settings: Settings, name: str = "") -> str:
    """Start a run, which this session may stop, resume and delete. Takes and raises what `runs.start_run` does."""
    own = _own_runs()
    run_id = runs.start_run(config, settings, name, session_id())
    own[run_id] = _stamp(run_id, settings)
    return run_id


def start_sweep(configs: Sequence[TrainConfig], settings: Settings, name: str, prune: bool, time_s: float) -> Sweep:
    """Start a sweep, whose runs are this session's. Takes and raises what `sweeps.start_sweep` does."""
    own = _own_runs()
    sweep = sweeps.start_sweep(configs, settings, name, session_id(), prune, time_s)
    own |= {run_id: _stamp(run_id, settings) for run_id in sweep.run_ids}
    return sweep


def offer_stop_all(sweep: Sweep, settings: Settings) -> None:
    """A button that stops what goes on of a sweep."""

    def may() -> bool:
        return all(_may_change(run_id, settings) for run_id in sweep.run_ids)

    help = "What they have learned in whole epochs is kept"
    guarded_button("Stop all", ":material/stop:", _stop_all, [sweep, settings], may, key="stop_all", help=help)


def _stop_all(sweep: Sweep, settings: Settings) -> None:
    state.acted = True
    with kept_errors():
        sweeps.stop_sweep(sweep, settings)


def _own_runs() -> dict[str, int | None]:
    """The runs that this session may change; asked for before one is added, for there a script may end."""
    own: dict[str, int | None] = state.setdefault("own_runs", {})
    return own


def _stamp(run_id: str, settings: Settings) -> int | None:
    """What tells a run from another one that had, or will have, its id."""
    try:
        return (model_folder(run_id, settings) / CONFIG).stat().st_mtime_ns
    except OSError:
        return None


def _is_own(run_id: str, settings: Settings) -> bool:
    stamp = _stamp(run_id, settings)
    return stamp is not None and state.get("own_runs", {}).get(run_id) == stamp


def let_read(model_id: str, settings: Settings) -> None:
    """Make a model the one that reads, for this visitor too. Raises ModelUnavailable, StorageFailed."""
    save_default(model_id, settings)
    for name in ("first_reader", "readers", "base_model"):
        state.pop(name, None)


def show_outcome(settings: Settings) -> None:
    """Tell what came of what was pressed last, and offer to undo a delete."""
    if problem := state.get("problem"):  # until something else is pressed
        tell(problem)
    if note := state.pop("note", None):
        st.toast(note, icon=":material/check:")
    if deleted := state.get("deleted_run"):
        run_id, had_read, was_own = deleted
        words = f"{name_of(run_id)} is deleted."
        if had_read:
            words = f"{words} {name_of(load_default(settings))} reads now."
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(words, icon=":material/delete:")
            may = _anybody if was_own and not had_read else is_operator
            guarded_button("Undo", ":material/undo:", _restore, [run_id, had_read, settings], may, key="restore")


def offer_actions(run: Run, settings: Settings) -> None:
    """What can be done with a run as it is, a button each."""
    offer = partial(_offer, run.run_id, settings)
    is_lesson = run.config.base_model_id is not None
    discard = "Discard" if is_lesson else "Delete"
    if run.status in runs.ACTIVE:
        if not runs.is_stopping(run.run_id, settings):
            offer("Stop", "stop", _stop, "What it has learned in whole epochs is kept")
    elif run.status == "finished":
        offer_model_actions(run.run_id, settings, "Accept for everyone" if is_lesson else USE, discard)
    else:
        if not is_lesson:  # what people said may have changed since: it is quicker begun anew
            offer("Resume", "play_arrow", _resume, "Go on after its last whole epoch", primary=True)
        offer(discard, "delete", _delete, DELETING)
    if not is_lesson:
        words = "Take its settings into the form, to change and train again"
        offer("Duplicate", "content_copy", _duplicate, words, _anybody)


def offer_model_actions(
    model_id: str, settings: Settings, use: str = USE, delete: str = "Delete", prefix: str = ""
) -> None:
    """What can be done with a model, a button each: draw with it, let it read for everyone, delete it.

    use, delete: what the last two are called; without a word for it deleting is not offered; prefix: of the buttons'
    keys, where the model has them twice on a page.
    """
    offer = partial(_offer, model_id, settings, prefix=prefix)
    offer("Draw with it now", "draw", _draw, "Your own drawings are read by it, nobody else's", _anybody, primary=True)
    if load_default(settings) != model_id:
        offer(use, "check_circle", _use, "It reads for all who name no other model, here and in the API", is_operator)
    if delete and not is_starter(model_id):
        offer(delete, "delete", _delete, DELETING)


def _offer(
    run_id: str,
    settings: Settings,
    label: str,
    icon: str,
    action: Action,
    help: str,
    may: Callable[[], bool] | None = None,
    primary: bool = False,
    prefix: str = "",
) -> None:
    key = prefix + label.split(maxsplit=1)[0].lower()
    kind = "primary" if primary else "secondary"
    may = may or partial(_may_change, run_id, settings)
    guarded_button(label, f":material/{icon}:", _act, [action, run_id, settings], may, key=key, help=help, type=kind)


def _may_change(run_id: str, settings: Settings) -> bool:
    """Whether this session may stop, resume or delete a run: one of its own, unless everybody is read by its model."""
    return is_operator() or (_is_own(run_id, settings) and load_default(settings) != run_id)


def _anybody() -> bool:
    return True


def _act(action: Action, run_id: str, settings: Settings) -> None:
    """Do what was pressed; the whole page is shown anew, which a press within a fragment alone does not bring about."""
    state.acted = True
    with kept_errors():
        action(run_id, settings)


def _stop(run_id: str, settings: Settings) -> None:
    runs.stop_run(run_id, settings)


def _resume(run_id: str, settings: Settings) -> None:
    runs.resume_run(run_id, settings)


def _use(run_id: str, settings: Settings) -> None:
    let_read(run_id, settings)
    state.note = f"{name_of(run_id)} is the model for everyone now."


def _draw(run_id: str, settings: Settings) -> None:
    state.first_reader = run_id
    state.pop("readers", None)
    state.go_to = "draw.py"


def _duplicate(run_id: str, settings: Settings) -> None:
    fill(runs.load_run(run_id, settings).config, settings)
    state.note = f"The form has the settings of {name_of(run_id)} now: change them, and train."


def _delete(run_id: str, settings: Settings) -> None:
    had_read, previous = load_default(settings) == run_id, find_previous(settings)
    was_own = _is_own(run_id, settings)
    runs.delete_run(run_id, settings)
    state.deleted_run = run_id, had_read, was_own
    if had_read:
        let_read(previous, settings)


def _restore(run_id: str, had_read: bool, settings: Settings) -> None:
    with told_errors():
        runs.restore_run(run_id, settings)
        state.watched_run = state.watched_lesson = run_id
        if had_read:
            let_read(run_id, settings)
    state.pop("deleted_run", None)
