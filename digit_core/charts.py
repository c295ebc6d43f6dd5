"""Numbers -> Altair charts, for pages and notebooks alike."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from digit_core.types import Prediction, TrainEvent

# Okabe and Ito's colours, told apart by colour-blind people and on light and dark grounds alike.
MAX_POINTS = 1000  # of a line
COLOURS = ("#0088cc", "#e69f00", "#009e73", "#cc79a7")


def chart_probabilities(predictions: Sequence[Prediction]) -> alt.Chart:
    """Bars of all ten probabilities, one colour per model."""
    models = [prediction.model_id.upper() for prediction in predictions]
    frame = pd.DataFrame(
        {
            "digit": np.tile(np.arange(10), len(predictions)),
            "probability": np.concatenate([prediction.probabilities for prediction in predictions]),
            "model": np.repeat(models, 10),
        }
    )
    return (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            alt.X("digit:O", title="Digit", axis=alt.Axis(labelAngle=0, labelFontSize=14)),
            alt.Y("probability:Q", title="Probability", axis=alt.Axis(format="%", values=[0, 0.5, 1])).scale(
                domain=(0, 1)
            ),
            alt.XOffset("model:N", sort=models),
            _by("model", models),
            tooltip=["model:N", "digit:O", alt.Tooltip("probability:Q", format=".2%")],
        )
        .properties(height=240)
    )


def chart_training(events: Sequence[TrainEvent], metric: str) -> alt.LayerChart | alt.FacetChart:
    """A metric (`accuracy` or `loss`) over the epochs: per batch a line, per epoch points, training and validation."""
    steps = [event for event in events if event.kind in ("batch", "epoch") and metric in event.metrics]
    batches = [
        {"epoch": event.epoch - 1 + event.batch / event.batches_per_epoch, "value": event.metrics[metric]}
        for event in steps[:: 1 + len(steps) // MAX_POINTS]
    ]
    epochs = [
        {"epoch": event.epoch, "value": event.metrics[name], "images": images}
        for event in steps
        if event.kind == "epoch"
        for name, images in ((metric, "training"), (f"val_{metric}", "validation"))
    ]
    images = ["training", "validation"]
    x = alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1)).scale(zero=False)
    title = "Accuracy" if metric == "accuracy" else "Loss (nats)"
    axis = alt.Axis(format="%") if metric == "accuracy" else alt.Axis()
    y = alt.Y("value:Q", title=title, axis=axis).scale(zero=False)
    line = alt.Chart(pd.DataFrame(batches, columns=["epoch", "value"])).mark_line(color=COLOURS[0], opacity=0.5)
    points = alt.Chart(pd.DataFrame(epochs, columns=["epoch", "value", "images"])).mark_line(point=True)
    return alt.layer(
        line.encode(x, y),
        points.encode(x, y, _by("images", images), tooltip=["epoch:Q", "images:N", "value:Q"]),
    ).properties(height=260)


def chart_recall(by_digit: dict[int, tuple[int, int]]) -> alt.LayerChart | alt.FacetChart:
    """Bars of how often each digit was read right, with the counts; by_digit maps a digit to (total, correct)."""
    frame = pd.DataFrame(
        [(digit, total, correct, correct / total) for digit, (total, correct) in by_digit.items() if total],
        columns=["digit", "drawings", "right", "share"],
    )
    base = alt.Chart(frame).encode(
        alt.X("digit:O", title="Digit that was meant", axis=alt.Axis(labelAngle=0)).scale(domain=list(range(10))),
        alt.Y("share:Q", title="Read right", axis=alt.Axis(format="%", values=[0, 0.5, 1])).scale(domain=(0, 1.15)),
        tooltip=["digit:O", "drawings:Q", "right:Q", alt.Tooltip("share:Q", format=".0%")],
    )
    counts = base.transform_calculate(count="datum.right + ' of ' + datum.drawings").mark_text(dy=-8, color="gray")
    return alt.layer(base.mark_bar(color=COLOURS[0]), counts.encode(alt.Text("count:N"))).properties(height=220)


def chart_confusion(confusion_matrix: np.ndarray) -> alt.LayerChart | alt.FacetChart:
    """Heat map of a confusion matrix `(10, 10)`, `[true, predicted]`; colour by share of the true digit."""
    shares = confusion_matrix / np.maximum(confusion_matrix.sum(axis=1, keepdims=True), 1)
    true, predicted = np.indices(confusion_matrix.shape)
    frame = pd.DataFrame(
        {
            "true": true.ravel(),
            "predicted": predicted.ravel(),
            "count": confusion_matrix.ravel(),
            "share": shares.ravel(),
        }
    )
    base = alt.Chart(frame).encode(
        alt.X("predicted:O", title="Read as", axis=alt.Axis(labelAngle=0)), alt.Y("true:O", title="True digit")
    )
    cells = base.mark_rect().encode(
        alt.Color("share:Q", legend=None).scale(scheme="blues", domain=(0, 0.1), clamp=True),
        tooltip=["true:O", "predicted:O", "count:Q", alt.Tooltip("share:Q", format=".2%")],
    )
    counts = (
        base.transform_filter("datum.count > 0")
        .mark_text(fontSize=11)
        .encode(alt.Text("count:Q"), color=alt.condition("datum.share > 0.05", alt.value("white"), alt.value("black")))
    )
    return alt.layer(cells, counts).properties(height=360)


def _by(field: str, order: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=list(order), range=list(COLOURS[: len(order)]))
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=alt.Legend(orient="top"))
