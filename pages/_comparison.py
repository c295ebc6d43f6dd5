"""What a model gained and lost by learning, beside the model that it learned from."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.learning import FEEDBACK, find_losses
from digit_core.settings import Settings
from digit_core.types import Comparison, Run, name_of
from pages._shared import count_drawings, percent, show_pictures


def show_comparison(run: Run, settings: Settings) -> None:
    """Before and after, on every set, and what that means: a warning where it forgot."""
    found = runs.load_comparisons(run.run_id, settings)
    if found is None:
        st.warning(
            f"What it forgot cannot be told: its comparison with {name_of(run.config.base_model_id)} is missing. "
            "Better discard it.",
            icon=":material/warning:",
        )
        return
    comparisons, counts = found
    _show_verdict(comparisons, name_of(run.config.base_model_id))
    share = st.column_config.NumberColumn(format="%.2f %%")
    st.dataframe(
        pd.DataFrame([_row(each) for each in comparisons]),
        hide_index=True,
        column_config={"images": st.column_config.NumberColumn(format="localized"), "before": share, "after": share},
        key=f"compared_{run.run_id}",
        alt="What share of each kind of images is read right before and after the lesson, and how many turned",
    )
    st.caption(
        f"Drawings it learned from: {counts['learned']:,} that were misread or collected, {counts['confirmed']:,} that "
        f"were read rightly; held out, to measure with: {counts['held_out']:,}."
    )


def _show_verdict(comparisons: Sequence[Comparison], base: str) -> None:
    losses = find_losses(comparisons)
    for each in losses:
        before, after = (percent(right / each.total, 2) for right in (each.before, each.after))
        st.warning(
            f"It forgot: of the {each.name} it reads {after} rightly, {base} {before}. Better discard it.",
            icon=":material/warning:",
        )
    if losses:
        return
    held_out = next((each for each in comparisons if each.name == FEEDBACK), None)
    if held_out is None:
        st.info("It forgot next to nothing. No drawing was held out: draw with it, and see.", icon=":material/draw:")
        return
    words = f"Of the drawings held out ({held_out.total:,}) it reads {held_out.after:,} rightly, {base}"
    if held_out.after > held_out.before:
        words = f"{words} {held_out.before:,}; and it forgot next to nothing."
        st.success(words, icon=":material/trending_up:")
    elif held_out.after == held_out.before:
        words = f"{words} as many; it forgot next to nothing. Draw with it, and see."
        st.info(words, icon=":material/trending_flat:")
    else:
        words = f"{words} {held_out.before:,}. Better discard it, and let it learn from more drawings."
        st.warning(words, icon=":material/trending_down:")


def show_changes(run: Run, settings: Settings) -> None:
    """What it was taught, as it reads it now; before and after, digit by digit; pictures of what turned wrong."""
    taught = runs.load_pictures(run.run_id, "taught", settings)
    if taught is not None and len(taught.images):
        right = int((taught.y_pred == taught.y_true).sum())
        st.markdown(
            f"**What it was taught, as it reads it now**: {right} of {count_drawings(len(taught.images))} right"
        )
        show_pictures(taught, taught.y_pred.tolist(), "taught")
    if found := runs.load_comparisons(run.run_id, settings):
        with st.expander("Before and after, by digit"):
            columns = {each.name: [_words(*counted) for counted in each.by_digit] for each in found[0]}
            table = pd.DataFrame(columns, index=range(10)).rename_axis("digit")
            words = "How many of each digit are read right before and after the lesson, by kind of images"
            st.dataframe(table, key=f"digits_{run.run_id}", alt=words)
    lost = runs.load_pictures(run.run_id, "lost", settings)
    if lost is not None and len(lost.images):
        st.markdown(
            f"**What {name_of(run.config.base_model_id)} read rightly and this one does not**, people's drawings first"
        )
        show_pictures(lost, lost.y_pred.tolist(), "lost")


def _row(each: Comparison) -> dict[str, str | float | int]:
    return {
        "read rightly of": each.name,
        "before": 100 * each.before / each.total,
        "after": 100 * each.after / each.total,
        "turned right": each.after - each.before + each.turned_wrong,
        "turned wrong": each.turned_wrong,
        "images": each.total,
    }


def _words(total: int, before: int, after: int) -> str:
    return f"{before:,} → {after:,} of {total:,}" if total else ""
