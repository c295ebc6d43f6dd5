"""What came of a sweep -> Altair charts."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from digit_core.charts import COLOURS, GREY
from digit_core.model_card import tell_value
from digit_core.sweeps import Trial
from digit_core.types import TrainEvent

ACCURACY = "validation accuracy"
BEST, OTHER = COLOURS[1], COLOURS[0]
MOST_TICKS = 6  # values written on an axis; of more, the least and the greatest


def chart_parallel(
    trials: Sequence[Trial], best: str | None, names: Mapping[str, str]
) -> alt.LayerChart | alt.FacetChart:
    """Parallel coordinates (Inselberg 1985): an axis a setting and one for validation accuracy, a line a run.

    best: the run that is marked; names: what the settings are called. Runs without an accuracy are left out.
    """
    shown = [trial for trial in trials if trial.right]
    columns: dict[str, list[Any]] = {names[name]: [trial.values[name] for trial in shown] for name in names}
    columns[ACCURACY] = [trial.accuracy for trial in shown]
    points, ticks = [], []
    for axis, values in columns.items():
        heights, labels = _place(values, axis == ACCURACY)
        ticks += [(axis, height, label) for label, height in labels.items()]
        for trial, height, value in zip(shown, heights, values, strict=True):
            words = f"{value:.2%}" if axis == ACCURACY else tell_value(value)
            points.append((trial.run.run_id, axis, height, words, trial.accuracy, trial.run.run_id == best))
    frame = pd.DataFrame(points, columns=["run", "axis", "height", "value", "accuracy", "best"])
    x = alt.X("axis:N", sort=list(columns), title=None, axis=alt.Axis(labelAngle=0, domain=False, ticks=False))
    y = alt.Y("height:Q", axis=None).scale(domain=(-0.06, 1.06))
    order = {axis: number for number, axis in enumerate(columns)}
    frame["order"] = frame["axis"].map(order)
    lines = alt.Chart(frame).encode(x, y, alt.Detail("run:N"), alt.Order("order:Q"))
    ends = pd.DataFrame([(axis, 0.0, 1.0) for axis in columns], columns=["axis", "low", "high"])
    rules = alt.Chart(ends).mark_rule(color=GREY).encode(x, alt.Y("low:Q").title(None), alt.Y2("high:Q"))
    others = lines.transform_filter("!datum.best").mark_line(color=OTHER, strokeWidth=1.5)
    strength = alt.Opacity("accuracy:Q", legend=None).scale(range=(0.25, 0.9), zero=False)
    chosen = lines.transform_filter("datum.best").mark_line(color=BEST, strokeWidth=3.5)
    dots = lines.mark_circle(size=60, opacity=1).encode(
        color=alt.condition("datum.best", alt.value(BEST), alt.value(OTHER)), tooltip=["run:N", "axis:N", "value:N"]
    )
    written = (
        alt.Chart(pd.DataFrame(ticks, columns=["axis", "height", "label"]))
        .mark_text(align="left", dx=8, dy=-8, fontSize=11)
        .encode(x, y, alt.Text("label:N"))
    )
    return alt.layer(rules, others.encode(strength), chosen, dots, written).properties(height=280)


def _place(values: Sequence[Any], shares: bool) -> tuple[list[float], dict[str, float]]:
    """How high each value lies on its axis, 0-1, and what is written there: numbers by size, all else side by side."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    sortable = numbers or all(isinstance(value, tuple) for value in values)
    ranked = sorted(set(values), key=lambda value: value if sortable else str(value))
    if (numbers and len(ranked) > MOST_TICKS) or shares:
        low, high = ranked[0], ranked[-1]
        span = (high - low) or 1.0
        heights = {value: (value - low) / span for value in ranked}
        written = [low, high]
    else:
        heights = {value: (place + 0.5) / len(ranked) for place, value in enumerate(ranked)}
        written = ranked
    words = {value: f"{value:.2%}" if shares else tell_value(value) for value in written}
    return [heights[value] for value in values], {words[value]: heights[value] for value in written}


def chart_sweep(events: Mapping[str, Sequence[TrainEvent]], best: str | None) -> alt.LayerChart | alt.FacetChart:
    """The validation accuracy of a sweep's runs over their epochs, a line each, the best one marked."""
    rows = [
        (run_id, event.epoch, event.metrics["val_accuracy"], run_id == best)
        for run_id, of_run in events.items()
        for event in of_run
        if event.kind == "epoch" and "val_accuracy" in event.metrics
    ]
    frame = pd.DataFrame(rows, columns=["run", "epoch", "accuracy", "best"])
    base = alt.Chart(frame).encode(
        alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        alt.Y("accuracy:Q", title="Validation accuracy", axis=alt.Axis(format="%")).scale(zero=False),
        alt.Detail("run:N"),
        tooltip=["run:N", "epoch:Q", alt.Tooltip("accuracy:Q", format=".2%")],
    )
    others = base.transform_filter("!datum.best").mark_line(point={"color": OTHER}, color=OTHER, opacity=0.6)
    chosen = base.transform_filter("datum.best").mark_line(point={"color": BEST}, color=BEST, strokeWidth=3)
    return alt.layer(others, chosen).properties(height=280)
