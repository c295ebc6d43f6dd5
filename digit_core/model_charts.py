"""What several models read -> Altair charts, for pages and notebooks alike."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from digit_core.charts import GREY, colour_models
from digit_core.types import name_of

BINS = 10  # of equal width, of confidence: fewer than the calibration error has, so that each holds answers


def chart_digits(recalls: Mapping[str, np.ndarray]) -> alt.Chart:
    """Points of how much of each digit was read right, `(10,)` in 0-1, by model."""
    frame = pd.DataFrame(
        [
            (name_of(model_id), digit, share)
            for model_id, recall in recalls.items()
            for digit, share in enumerate(recall)
        ],
        columns=["model", "digit", "share"],
    )
    return (
        alt.Chart(frame)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            alt.X("digit:O", title="Digit", axis=alt.Axis(labelAngle=0)),
            alt.Y("share:Q", title="Read right", axis=alt.Axis(format=".1%")).scale(zero=False),
            colour_models(list(recalls)),
            alt.XOffset("model:N", sort=list(map(name_of, recalls))),
            tooltip=["model:N", "digit:O", alt.Tooltip("share:Q", format=".2%")],
        )
        .properties(height=280)
    )


def tabulate_reliability(y_true: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """How sure a model was and how often right, by bins of confidence: a row for each bin that holds answers.

    y_true: `(N,)` digits; probabilities: `(N, 10)`. Columns: confidence and share in 0-1, the bin's means; answers.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == y_true
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    held = counts > 0
    sums = [np.bincount(bins, weights=values, minlength=BINS)[held] for values in (confidence, right)]
    return pd.DataFrame(
        {"confidence": sums[0] / counts[held], "share": sums[1] / counts[held], "answers": counts[held]}
    )


def chart_reliability(tables: Mapping[str, pd.DataFrame]) -> alt.LayerChart | alt.FacetChart:
    """How often models were right against how sure they were, of `tabulate_reliability`; a line each.

    The area of a point shows of how many answers it is; a well calibrated model's lie on the dashed line.
    """
    frame = pd.concat([table.assign(model=name_of(model_id)) for model_id, table in tables.items()])
    axis = alt.Axis(format="%")
    base = alt.Chart(frame).encode(
        alt.X("confidence:Q", title="Confidence", axis=axis).scale(domain=(0, 1)),
        alt.Y("share:Q", title="Right", axis=axis).scale(domain=(0, 1)),
        colour_models(list(tables)),
    )
    points = base.mark_circle(opacity=0.9).encode(
        alt.Size("answers:Q", legend=None).scale(type="log", rangeMin=20, rangeMax=250),
        tooltip=[
            "model:N",
            *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("confidence", "share")),
            alt.Tooltip("answers:Q", format=",d"),
        ],
    )
    ideal = alt.Chart(pd.DataFrame({"confidence": [0.0, 1.0], "share": [0.0, 1.0]}))
    line = ideal.mark_line(strokeDash=[4, 3], color=GREY).encode(alt.X("confidence:Q"), alt.Y("share:Q"))
    return alt.layer(line, base.mark_line(strokeWidth=1.5), points).properties(height=280)
