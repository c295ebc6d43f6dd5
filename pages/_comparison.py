"""What a model gained and lost by learning, beside the model that it learned from."""

import pandas as pd
import streamlit as st

from digit_core import runs
from digit_core.learning import find_losses
from digit_core.settings import Settings
from digit_core.types import Comparison, ModelInfo
from pages._shared import show_pictures


def show_comparison(info: ModelInfo, settings: Settings) -> None:
    """Before and after, on every set and digit, a warning where it forgot, and what turned wrong."""
    found = runs.load_comparisons(info.model_id, settings)
    if found is None:
        st.warning(
            f"What it forgot cannot be told: its comparison with {info.parent_id} is missing. Better discard it.",
            icon=":material/warning:",
        )
        return
    comparisons, counts = found
    losses = find_losses(comparisons)
    for each in losses:
        lost = 100 * (each.before - each.after) / each.total
        st.warning(
            f"It forgot: it reads {lost:.1f} % of the {each.name} less than {info.parent_id}. Better discard it.",
            icon=":material/warning:",
        )
    if not losses and any(each.after > each.before for each in comparisons):
        st.success(f"It reads better than {info.parent_id}, and forgot next to nothing.", icon=":material/trending_up:")
    st.caption(
        f"Learned from {counts['learned']:,} drawings that were misread or collected, and {counts['confirmed']:,} that "
        "were read rightly; "
        f"{counts['held_out']:,} drawings were held out, to measure with."
    )
    share = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        pd.DataFrame([_row(each) for each in comparisons]),
        hide_index=True,
        column_config={"before": share, "after": share},
        key=f"compared_{info.model_id}",
    )
    with st.expander("By digit"):
        table = pd.DataFrame(
            {each.name: [_words(*counted) for counted in each.by_digit] for each in comparisons}, index=range(10)
        )
        st.dataframe(table.rename_axis("digit"), key=f"digits_{info.model_id}")
    lost = runs.load_pictures(info.model_id, "lost", settings)
    if lost is not None and len(lost.images):
        st.markdown(f"**What {info.parent_id} read rightly and this one does not**, people's drawings first")
        show_pictures(lost, lost.y_pred.tolist(), "lost")


def _row(each: Comparison) -> dict[str, str | float | int]:
    return {
        "read rightly of": each.name,
        "images": each.total,
        "before": each.before / each.total,
        "after": each.after / each.total,
        "turned right": each.after - each.before + each.turned_wrong,
        "turned wrong": each.turned_wrong,
    }


def _words(total: int, before: int, after: int) -> str:
    return f"{before:,} → {after:,} of {total:,}" if total else ""
