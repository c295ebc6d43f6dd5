"""Numbers -> Altair charts, for pages and notebooks alike; importing it makes their look Altair's theme."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from digit_core.evaluation import interval
from digit_core.types import Prediction, name_of

# After Okabe and Ito: told apart by colour-blind people, and on light and dark grounds alike.
COLOURS = ("#0088cc", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#8c6bd1", "#b8a500", "#8b5a2b")
GREY = "#888888"
STARTER_COLOURS = {"cnn": COLOURS[0], "ann": COLOURS[1]}  # no other model has theirs while there are others
OTHER_COLOURS = COLOURS[2:]
DIGIT_COLOURS = (
    "#a8325e",
    "#d6453d",
    "#0f9d9d",
    "#c2409a",
    "#8f8f1f",
    "#4c9a2a",
    "#96704a",
    "#6f87a6",
    "#e07a9b",
    "#3dbb85",
)
# What is written in a chart stands out from the ground that the page gives it, light or dark (WCAG 2: by 4.5 to 1).
INK = {"expr": "luminance(background) <= 0.2 ? '#c4ccd4' : '#454f5a'"}
FULL_INK = {"expr": "luminance(background) <= 0.2 ? 'white' : 'black'"}
STRONG = 0.057  # the share of a true digit's images from which white stands out from its blue cell on a light ground
DAYS = 7  # with drawings, over which a share is averaged
PROMINENT = 0.2  # the probability that a digit reaches at least once to have a line of its own


@alt.theme.register("digit_lab", enable=True)
def _look() -> alt.theme.ThemeConfig:
    written = {"labelColor": INK, "titleColor": INK}
    view = {"continuousWidth": 300, "continuousHeight": 300}  # as large as Altair's own theme makes a chart
    return {"config": {"axis": written, "legend": written, "text": {"color": INK}, "view": view}}  # type: ignore[typeddict-item]


def leave_data_out(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """What of a chart stays the same when its data change: it takes long to make, and browsers draw what is new."""
    return {name: value for name, value in chart.to_dict().items() if name not in ("data", "datasets")}


def colours_of(model_ids: Sequence[str]) -> dict[str, str]:
    """The colour of each model, the same in all charts, unless two of those given would share one.

    In which order they are given makes no difference.
    """
    colours = {model_id: STARTER_COLOURS[model_id] for model_id in model_ids if model_id in STARTER_COLOURS}
    for model_id in sorted(model_ids):
        if model_id not in colours:
            own = zlib.crc32(model_id.encode()) % len(OTHER_COLOURS)
            proposed = (*OTHER_COLOURS[own:], *OTHER_COLOURS[:own], *STARTER_COLOURS.values())
            colours[model_id] = next((each for each in proposed if each not in colours.values()), proposed[0])
    return {model_id: colours[model_id] for model_id in model_ids}


def colour_models(model_ids: Sequence[str]) -> alt.Color:
    """The column `model`, of models' names, in their colours."""
    return colour_by("model", list(map(name_of, model_ids)), list(colours_of(model_ids).values()))


def tabulate_probabilities(predictions: Sequence[Prediction]) -> pd.DataFrame:
    """The bars of `chart_probabilities`: a row per digit and model."""
    return pd.DataFrame(
        {
            "digit": np.tile(np.arange(10), len(predictions)),
            "probability": np.concatenate([prediction.probabilities for prediction in predictions]),
            "model": np.repeat([name_of(prediction.model_id) for prediction in predictions], 10),
        }
    )


def chart_probabilities(table: pd.DataFrame, model_ids: Sequence[str]) -> alt.Chart:
    """Bars of all ten probabilities, of `tabulate_probabilities`, in the colours of the models."""
    return (
        alt.Chart(table)
        .mark_bar()
        .encode(
            alt.X("digit:O", title="Digit", axis=alt.Axis(labelAngle=0, labelFontSize=14)),
            alt.Y("probability:Q", title="Probability", axis=alt.Axis(format="%", values=[0, 0.5, 1])).scale(
                domain=(0, 1)
            ),
            alt.XOffset("model:N", sort=list(map(name_of, model_ids))),
            colour_models(model_ids),
            tooltip=["model:N", "digit:O", alt.Tooltip("probability:Q", format=".2%")],
        )
        .properties(height=240)
    )


def tabulate_growth(grown: Mapping[str, Sequence[Prediction]], now: int) -> pd.DataFrame:
    """The lines of `chart_growth`: a row per model, step of the drawing and digit; `now` marks one of the steps."""
    rows = [
        (name_of(model_id), step, (step + 1) / len(predictions), digit, float(probability), step == now)
        for model_id, predictions in grown.items()
        for step, prediction in enumerate(predictions)
        for digit, probability in enumerate(prediction.probabilities)
    ]
    frame = pd.DataFrame(rows, columns=["model", "step", "drawn", "digit", "probability", "now"])
    frame["peak"] = frame.index.isin(frame.groupby("digit")["probability"].idxmax())
    most = frame.groupby("digit")["probability"].transform("max")
    return frame[most >= min(PROMINENT, most.max())].astype({"digit": str})


def chart_growth(table: pd.DataFrame) -> alt.LayerChart | alt.FacetChart:
    """How the digits' probabilities moved while a drawing grew, a dash for each model; a rule stands where it is now.

    table: as `tabulate_growth` makes it. Each digit stands at the peak of its line, and has its own colour, no model's.
    """
    digits = sorted(table["digit"].unique())
    colour = colour_by("digit", digits, [DIGIT_COLOURS[int(digit)] for digit in digits])
    shares = alt.Axis(format="%", values=[0, 0.5, 1])
    y = alt.Y("probability:Q", title="Probability", axis=shares).scale(domain=(0, 1.1))
    base = alt.Chart(table).encode(alt.X("drawn:Q", title="Drawn", axis=shares).scale(domain=(0, 1)))
    dash = alt.StrokeDash("model:N", title=None, sort=table["model"].unique().tolist(), legend=alt.Legend(orient="top"))
    lines = base.mark_line(strokeWidth=2.5).encode(
        y,
        colour,
        dash,
        tooltip=["model:N", "digit:N", *(alt.Tooltip(f"{name}:Q", format=".0%") for name in ("drawn", "probability"))],
    )
    peaks = base.transform_filter(alt.datum.peak).mark_text(fontSize=15, fontWeight="bold", dy=-9)
    peaks = peaks.encode(y, alt.Text("digit:N"))
    rule = base.transform_filter(alt.datum.now).mark_rule(color=GREY, strokeDash=[4, 3])
    return alt.layer(lines, peaks, rule).properties(height=220)


def chart_shares(
    shares: Mapping[Any, tuple[int, int]], title: str, names: Sequence[Any] = ()
) -> alt.LayerChart | alt.FacetChart:
    """Bars of how much was read right, with the counts while they are small and there is room.

    shares: of each name, (total, correct).
    names: all that have a place, be there anything or not; those of `shares` if left out.
    """
    rows = [(name, total, correct, correct / total) for name, (total, correct) in shares.items() if total]
    frame = pd.DataFrame(rows, columns=["name", "drawings", "right", "share"])
    base = alt.Chart(frame).encode(
        alt.X("name:O", title=title, axis=alt.Axis(labelAngle=0)).scale(domain=list(names or shares)),
        alt.Y("share:Q", title="Read right", axis=alt.Axis(format="%", values=[0, 0.5, 1])).scale(domain=(0, 1.15)),
        tooltip=["name:O", "drawings:Q", "right:Q", alt.Tooltip("share:Q", format=".1%")],
    )
    few = "datum.drawings < 100 ? datum.right + ' of ' + datum.drawings : format(datum.share, '.0%')"
    room = alt.ExprRef("bandwidth('x') < 30 ? 0 : 1")
    counts = base.transform_calculate(count=few).mark_text(dy=-8, opacity=room)
    return alt.layer(base.mark_bar(color=COLOURS[0]), counts.encode(alt.Text("count:N"))).properties(height=220)


def chart_days(by_day: Mapping[date, tuple[int, int]]) -> alt.LayerChart | alt.FacetChart:
    """How much was read right, day by day, the area of a point showing of how many drawings; maps to (total, correct).

    The line goes through the means of the last days, each drawing counting alike.
    """
    rows = [(pd.Timestamp(day), total, correct, correct / total) for day, (total, correct) in by_day.items() if total]
    frame = pd.DataFrame(rows, columns=["day", "drawings", "right", "share"])
    window = frame[["right", "drawings"]].rolling(DAYS, min_periods=1).sum()
    frame["mean"] = window["right"] / window["drawings"]
    base = alt.Chart(frame).encode(alt.X("yearmonthdate(day):T", title="Day"))
    axis = alt.Axis(format="%")
    points = base.mark_circle(color=COLOURS[0], opacity=0.6).encode(
        alt.Y("share:Q", title="Read right", axis=axis).scale(domain=(0, 1)),
        alt.Size("drawings:Q", legend=None).scale(rangeMin=20, rangeMax=200),
        tooltip=["day:T", "drawings:Q", "right:Q", alt.Tooltip("share:Q", format=".1%")],
    )
    return alt.layer(points, base.mark_line(color=COLOURS[1]).encode(alt.Y("mean:Q"))).properties(height=220)


def chart_calibration(levels: Mapping[float, tuple[float, tuple[int, int]]]) -> alt.LayerChart | alt.FacetChart:
    """How many answers were right against how sure they were; levels maps to the mean confidence and (total, correct).

    The bars are 95 % intervals (Wilson 1927); a well calibrated model's reach the dashed line.
    """
    rows = [
        (mean, correct / total, *interval(total, correct), total) for mean, (total, correct) in levels.values() if total
    ]
    frame = pd.DataFrame(rows, columns=["confidence", "share", "low", "high", "answers"])
    axis = alt.Axis(format="%")
    base = alt.Chart(frame).encode(alt.X("confidence:Q", title="Confidence", axis=axis).scale(domain=(0, 1)))
    y = alt.Y("share:Q", title="Right", axis=axis).scale(domain=(0, 1))
    tooltip = [alt.Tooltip(f"{name}:Q", format=".1%") for name in ("confidence", "share", "low", "high")]
    line = alt.Chart(pd.DataFrame({"confidence": [0.0, 1.0], "share": [0.0, 1.0]}))
    return alt.layer(
        line.mark_line(strokeDash=[4, 3], color=GREY).encode(alt.X("confidence:Q"), y),
        base.mark_rule(color=COLOURS[0], strokeWidth=2).encode(alt.Y("low:Q"), alt.Y2("high:Q")),
        base.mark_circle(color=COLOURS[0], size=90, opacity=1).encode(y, tooltip=[*tooltip, "answers:Q"]),
    ).properties(height=260)


def chart_confusion(
    confusion_matrix: np.ndarray, marked: tuple[int, int] | None = None
) -> alt.LayerChart | alt.FacetChart:
    """Heat map of a confusion matrix `(10, 10)`, `[true, predicted]`; the bluer, the larger the share.

    marked: the cell that is looked at; a click on another one selects it, as `cell`, by its `true` and `predicted`.
    """
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
    cells = base.mark_rect(color="#0d4f94").encode(
        alt.Opacity("share:Q", legend=None).scale(type="sqrt", domain=(0, 0.1), range=(0.06, 1), clamp=True),
        tooltip=["true:O", "predicted:O", "count:Q", alt.Tooltip("share:Q", format=".2%")],
    )
    counts = (
        base.transform_filter("datum.count > 0")
        .mark_text(fontSize=11)
        .encode(
            alt.Text("count:Q"), color=alt.condition(f"datum.share > {STRONG}", alt.value("white"), alt.value(FULL_INK))
        )
    )
    if marked is None:
        return alt.layer(cells, counts).properties(height=360)
    here = f"datum.true == {marked[0]} && datum.predicted == {marked[1]}"
    frame_of_it = base.transform_filter(here).mark_rect(filled=False, stroke=COLOURS[1], strokeWidth=3)
    choice = alt.selection_point(name="cell", fields=["true", "predicted"])
    return alt.layer(cells.add_params(choice), frame_of_it, counts).properties(height=360)


def colour_by(field: str, order: Sequence[str], colours: Sequence[str]) -> alt.Color:
    """A colour for each value of a field, in that order, with a legend above the chart."""
    scale = alt.Scale(domain=list(order), range=list(colours))
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=alt.Legend(orient="top", symbolOpacity=1))
