"""How networks learned -> Altair charts, for pages and notebooks alike."""

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
import pandas as pd

from digit_core.charts import COLOURS, GREY, colour_by, colour_models
from digit_core.types import TrainEvent, name_of

TRAINING, VALIDATION = COLOURS[3], COLOURS[2]
SMOOTHED = 5, 25  # points over which a curve of batches is averaged, at least and at most


def tabulate_training(
    events: Sequence[TrainEvent], metric: str, earlier: Sequence[TrainEvent] = (), earlier_name: str = ""
) -> pd.DataFrame:
    """The points of `chart_training`: a row per batch event, again smoothed, and per epoch of both runs' validation."""
    batches = [event for event in events if event.kind == "batch" and metric in event.metrics]
    x = np.array([_position(event) for event in batches], np.float64)
    raw = pd.Series([event.metrics[metric] for event in batches], dtype=np.float64)
    least, most = SMOOTHED
    smoothed = raw.ewm(span=min(max(least, len(raw) / 10), most)).mean()
    return pd.concat(
        [
            pd.DataFrame({"epoch": x, "value": raw, "images": "training", "points": "batch"}),
            pd.DataFrame({"epoch": x, "value": smoothed, "images": "training", "points": "smoothed"}),
            _validation(events, metric, "validation").assign(points="epoch"),
            _validation(earlier, metric, earlier_name).assign(points="earlier"),
        ],
        ignore_index=True,
    )


def chart_training(table: pd.DataFrame, metric: str, earlier_name: str = "") -> alt.LayerChart | alt.FacetChart:
    """A metric (`accuracy` or `loss`) over the epochs: training per batch, raw and smoothed; validation per epoch.

    table: as `tabulate_training` makes it; earlier_name: the other run, whose validation lies behind in grey.
    """
    names = ["training", "validation", *([earlier_name] if earlier_name else [])]
    shares = metric == "accuracy"
    y = alt.Y("value:Q", axis=alt.Axis(format="%") if shares else alt.Axis()).scale(zero=False)
    base = alt.Chart(table).encode(
        alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1)).scale(domainMin=0, nice=False),
        y.title("Accuracy" if shares else "Loss (nats)"),
        colour_by("images", names, [TRAINING, VALIDATION, GREY][: len(names)]),
    )

    def only(points: str) -> alt.Chart:
        return base.transform_filter(alt.datum.points == points)

    return alt.layer(
        only("earlier").mark_line(strokeDash=[4, 3]),
        only("batch").mark_line(opacity=0.25, strokeWidth=1),
        only("smoothed").mark_line(),
        only("epoch").mark_line(point=True).encode(tooltip=_tooltip(shares)),
    ).properties(height=260)


def chart_runs(events: Mapping[str, Sequence[TrainEvent]], metric: str) -> alt.Chart:
    """The validation metric (`accuracy` or `loss`) of several runs over the seconds of training, a line each."""
    frame = pd.concat([_validation(of_run, metric, name_of(run_id)) for run_id, of_run in events.items()])
    frame = frame.rename(columns={"images": "model"})
    shares = metric == "accuracy"
    axis = alt.Axis(format="%") if shares else alt.Axis()
    title = "Validation accuracy" if shares else "Validation loss (nats)"
    return (
        alt.Chart(frame)
        .mark_line(point=True)
        .encode(
            alt.X("seconds:Q", title="Seconds of training"),
            alt.Y("value:Q", title=title, axis=axis).scale(zero=False),
            colour_models(list(events)),
            tooltip=[*_tooltip(shares, "model"), alt.Tooltip("seconds:Q", format=".0f")],
        )
        .properties(height=280)
    )


def _position(event: TrainEvent) -> float:
    """How many epochs are done, with the share of the one under way."""
    return event.epoch - 1 + event.batch / event.batches_per_epoch


def _validation(events: Sequence[TrainEvent], metric: str, name: str) -> pd.DataFrame:
    rows = [
        (_position(event), event.elapsed_s, event.metrics[f"val_{metric}"], name)
        for event in events
        if event.kind == "epoch" and f"val_{metric}" in event.metrics
    ]
    return pd.DataFrame(rows, columns=["epoch", "seconds", "value", "images"])


def _tooltip(shares: bool, line: str = "images") -> list[alt.Tooltip]:
    value = alt.Tooltip("value:Q", format=".2%" if shares else ".4f")
    return [alt.Tooltip(f"{line}:N"), alt.Tooltip("epoch:Q", format=".3~g"), value]
