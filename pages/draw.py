"""Draw or upload a digit, see it read by several models, say whether it is right."""

import hashlib
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import cv2
import numpy as np
import pandas as pd
import streamlit as st

from digit_core.charts import chart_probabilities, leave_data_out, tabulate_probabilities
from digit_core.classifier import share_classifier
from digit_core.errors import ModelUnavailable
from digit_core.feedback import share_store, to_answer
from digit_core.model_store import STARTER_IDS, list_models, load_default
from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.settings import read_settings
from digit_core.strokes import strokes_from_canvas
from digit_core.types import Drawing, Feedback, InputKind, ModelInfo, Prediction, name_of
from pages._inside import see_inside
from pages._shared import (
    NO_DIGIT,
    TILE_MARGIN,
    Tile,
    ask_visitor,
    canvas,
    clear,
    kept_errors,
    label_of,
    percent,
    session_id,
    show_tiles,
    switch,
    tell_kept,
    told_errors,
    undo,
    visitor,
)

PEN_WIDTH = 20  # canvas pixels
SURE = 0.999  # the largest confidence that is told in figures
SEEN_SIDE = 84  # pixels: three times an image's 28
INVITATIONS: dict[InputKind, str] = {
    "canvas": "Draw with mouse, finger or pen. Neural networks say here what they read, and how sure they are.",
    "upload": "Choose a picture of one digit. Its colours, size and place do not matter.",
    "camera": "Write one digit on paper and take a picture of it.",
}
WORDS = ((0.99, "almost certain"), (0.9, "very likely"), (0.7, "likely"), (0.5, "unsure"), (0.0, "a guess"))

Answered = tuple[Drawing, InputKind, np.ndarray, list[Prediction]]  # what came in, and what was said of its image

settings = read_settings()
state = st.session_state
state.setdefault("said", {})  # fingerprint of a drawing -> the feedback on it
state.setdefault("feedback_ids", {})  # fingerprint -> id of what will be said: a second press is the same entry
state.setdefault("unjudged", set())  # fingerprints of drawings whose answers were kept though nobody judged them
state.setdefault("asked", None)  # fingerprint of the drawing that Classify was pressed for
state.setdefault("hidden", None)  # fingerprint of the drawing whose answer was cleared


def fingerprint_of(drawing: Drawing) -> str:
    parts = drawing.strokes if drawing.image is None else (drawing.image,)
    return hashlib.sha256(b"/".join(part.tobytes() for part in parts)).hexdigest()


def read_drawing(mode: InputKind) -> Drawing | None:
    """What the person gave: the canvas, a file or a snapshot; None while there is nothing."""
    if mode == "canvas":
        st.caption("From 0 to 9: large or small, anywhere.")  # and room for the canvas's own tools above it
        drawn = canvas(state.get("pen_width", PEN_WIDTH))
        with st.container(horizontal=True, vertical_alignment="center", key="canvas_tools"):
            # Never disabled: a browser tells nobody of a mouse button let go over a disabled one, and a stroke that
            # ends there would never end.
            help = "Take back the last stroke, or what was cleared"
            st.button("Undo", icon=":material/undo:", on_click=undo, help=help)
            st.button("Clear", icon=":material/delete:", on_click=clear, help="Empty the canvas")
            with st.popover("Pen", icon=":material/edit:"):
                st.slider("Pen width (pixels)", 6, 40, PEN_WIDTH, key="pen_width", persist_state="session")
                st.caption("A matter of taste: the answer does not depend on it.")
        strokes = strokes_from_canvas(drawn)
        return Drawing(strokes) if strokes else None
    if mode == "import":
        brought, words = state.brought
        st.image(cv2.resize(brought, None, fx=6, fy=6, interpolation=cv2.INTER_NEAREST), caption=words, alt=words)
        return Drawing(image=brought)
    if mode == "upload":
        file = st.file_uploader(
            "A picture of one digit",
            ["png", "jpg", "jpeg", "webp", "bmp", "gif"],
            max_upload_size=5,
            help="PNG, JPEG, WebP, BMP or GIF, up to 5 MB. Dark on light or light on dark.",
        )
    else:
        file = st.camera_input("Hold a digit on paper in front of the camera")
    return read_picture(file.getvalue()) if file else None


def show_answer(prediction: Prediction) -> None:
    """A card: the digit large, its confidence in words and figures, the image as the model saw it.

    How often such an answer is right is known of digits alone.
    """
    words = next(words for least, words in WORDS if prediction.confidence >= least)
    figure = f"over {percent(SURE)}" if prediction.confidence > SURE else percent(prediction.confidence)
    key = f"answer_{prediction.model_id}"
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="xsmall", key=key):
        with st.container(width="content", gap=None):
            # Heights are told, here and of the chart, so that nothing moves when a browser fetches what draws them.
            st.metric(f"{name_of(prediction.model_id)} reads", prediction.digit, width="content", height=102)
            often = f"  \n:small[:gray[{frequency(prediction.confidence)}]]" if prediction.is_digit else ""
            st.markdown(f"{words}, {figure}{often}")
        seen = (prediction.image * 255).astype(np.uint8)
        tile = Tile(seen, f"What {name_of(prediction.model_id)} saw", "As it saw it")
        with st.container(width=SEEN_SIDE + TILE_MARGIN):
            show_tiles([tile], f"seen_{prediction.model_id}", side=SEEN_SIDE)


def frequency(confidence: float) -> str:
    """A calibrated confidence as how often such an answer is right."""
    whole = 1_000 if confidence > 0.99 else 100
    right = round(confidence * whole)
    return f"right {'over ' if right == whole else ''}{min(right, whole - 1)} times in {whole:,}"


def warn(predictions: list[Prediction]) -> None:
    """Say where an answer is not to be relied on: no digit, not sure, models that disagree."""
    doubters = [name_of(prediction.model_id) for prediction in predictions if not prediction.is_digit]
    if doubters:
        who = "" if len(doubters) == len(predictions) else f" to {' and '.join(doubters)}"
        st.warning(
            f"This does not look like a digit{who}. If it is one, say below which.", icon=":material/question_mark:"
        )
    for prediction in predictions:
        if prediction.is_digit and len(prediction.answer_set) > 1:
            *digits, last = map(str, prediction.answer_set)
            name = name_of(prediction.model_id)
            st.info(
                f"{name} is not sure: {', '.join(digits)} or {last}. In 199 of 200 drawings the right digit is among "
                "those that it names.",
                icon=":material/help:",
            )
    if len({prediction.digit for prediction in predictions if prediction.is_digit}) > 1:
        st.warning("The models disagree: look at the bars.", icon=":material/call_split:")


@st.cache_data(max_entries=32, show_spinner=False)
def spec_of(models: list[str], _table: pd.DataFrame) -> dict[str, object]:
    """The chart of these models' probabilities, without its data."""
    return leave_data_out(chart_probabilities(_table, models))


def propose_readers(infos: dict[str, ModelInfo]) -> list[str]:
    """The model that this visitor or everybody prefers, and one of the other architecture beside it."""
    preferred = [state.get("first_reader"), load_default(settings), *infos]
    leading = next((infos[model_id] for model_id in preferred if model_id in infos), None)
    if leading is None:
        return []
    beside = [info.model_id for info in infos.values() if info.architecture != leading.architecture]
    return [leading.model_id, *beside[:1]]


def show(fingerprint: str) -> None:
    state.asked, state.hidden = fingerprint, None


def hide(fingerprint: str) -> None:
    state.asked, state.hidden = None, fingerprint


def log(answered: Answered, digit: int | None) -> None:
    """Keep what the person said of the drawing on the screen."""
    fingerprint = fingerprint_of(answered[0])
    said, unjudged = state.said, state.unjudged  # now: a script may end where it asks for state, which is too early
    feedback_id = state.feedback_ids.get(fingerprint)
    if feedback_id and fingerprint not in said:
        feedback = to_feedback(feedback_id, answered, digit)
        with kept_errors():
            store = share_store(settings.database_url)
            if fingerprint in unjudged:
                store.change(replace(feedback, judged=False, true_digit=None), feedback)
                unjudged.remove(fingerprint)
            else:
                store.add(feedback)
            said[fingerprint] = feedback


def to_feedback(feedback_id: str, answered: Answered, digit: int | None) -> Feedback:
    drawing, mode, image, predictions = answered
    answers = tuple(to_answer(prediction, hashes.get(prediction.model_id, "")) for prediction in predictions)
    now = datetime.now(UTC)
    return Feedback(feedback_id, now, session_id(), drawing, mode, image, answers, digit, visitor())


def keep_unjudged(drawing: Drawing | None) -> None:
    """Keep the answer that was shown last, if nobody judged it and another drawing has taken its place."""
    if not (shown := state.get("shown")):
        return
    before, fingerprint = shown[0], fingerprint_of(shown[0])
    if drawing is not None and (_goes_on(before, drawing) or fingerprint == fingerprint_of(drawing)):
        return
    if fingerprint not in state.said and fingerprint not in state.unjudged:
        with told_errors():
            feedback = to_feedback(state.feedback_ids[fingerprint], shown, None)
            share_store(settings.database_url).add(replace(feedback, judged=False))
            state.unjudged.add(fingerprint)
    state.shown = None


def _goes_on(before: Drawing, drawing: Drawing) -> bool:
    """Whether a drawing is another one with strokes added."""
    pairs = zip(before.strokes, drawing.strokes, strict=False)
    more = len(drawing.strokes) > len(before.strokes) > 0
    return more and all(np.array_equal(one, other) for one, other in pairs)


def take_back(fingerprint: str) -> None:
    said, feedback_ids = state.said, state.feedback_ids
    if feedback := said.get(fingerprint):
        with kept_errors():
            share_store(settings.database_url).delete(feedback)
            del said[fingerprint], feedback_ids[fingerprint]


def ask_verdict(answered: Answered) -> None:
    """Right, or which digit it was: one tap, which can be taken back. Models that disagree are not called right."""
    fingerprint, predictions = fingerprint_of(answered[0]), answered[3]
    tell_kept()
    if said := state.said.get(fingerprint):
        read, meant = sorted({answer["digit"] for answer in said.answers}), label_of(said.true_digit)
        words = " and ".join(map(str, read))
        if read == [said.true_digit]:
            verdict = f"right, it is a {meant}"
        elif said.true_digit in read:
            verdict = f"it is {meant}, read as {words}"
        else:
            verdict = f"read as {words}, but it is {meant}"
        with st.container(horizontal=True, vertical_alignment="center", key="verdict_logged"):
            st.success(f"Logged: {verdict}. Thank you.", icon=":material/check:")
            st.button("Take back", icon=":material/undo:", on_click=take_back, args=[fingerprint])
        return
    state.feedback_ids.setdefault(fingerprint, str(uuid.uuid4()))
    leading = predictions[0].digit
    agreed = {prediction.digit for prediction in predictions} == {leading}
    with st.container(key="verdict"):
        if agreed:
            st.button(f"Right, it is a {leading}", icon=":material/thumb_up:", on_click=log, args=(answered, leading))
        with st.container(horizontal=True, gap="xsmall", vertical_alignment="center", key="corrections"):
            st.markdown("Wrong? It is" if agreed else "It is")
            for digit in range(10):
                if digit != leading or not agreed:
                    st.button(str(digit), key=f"correct_{digit}", on_click=log, args=(answered, digit))
            st.button(NO_DIGIT, key="correct_none", on_click=log, args=(answered, None))
        with st.container(width=280):
            ask_visitor()


st.title("Draw a digit")
left, right = st.columns([2, 3], gap="medium")
drawing = None
with left:
    inputs = {"canvas": "Draw", "upload": "Upload", "camera": "Camera"}
    if "brought" in state:  # from the page Models
        inputs["import"] = "Picture"
    mode: InputKind = switch("Input", inputs, "mode", persist_state="session")
    with told_errors():
        drawing = read_drawing(mode)
    infos = {info.model_id: info for info in list_models(settings)}
    hashes = {model_id: info.sha256["model.tflite"] for model_id, info in infos.items()}
    if settings.keep_unjudged:
        keep_unjudged(drawing)
    proposed = propose_readers(infos)
    with st.container(horizontal=True, vertical_alignment="center", key="reading"):
        live = st.toggle("Read as I draw", value=True, key="live", persist_state="session")
        if len(infos) > len(STARTER_IDS):
            with st.popover("Models", icon=":material/leaderboard:", type="tertiary"):
                st.multiselect(
                    "Models that read",
                    list(infos),
                    proposed,
                    name_of,
                    max_selections=4,
                    key="readers",
                    persist_state="session",
                    help="Up to four. The first one leads: its answer is the one that counts as right or wrong.",
                )

with right, told_errors():
    chosen = [model_id for model_id in state.get("readers") or () if model_id in hashes] or proposed
    if not chosen:
        raise ModelUnavailable("There is no model that could read. Restore models/ann and models/cnn, or train one.")
    fingerprint = fingerprint_of(drawing) if drawing else None
    if drawing is None:
        st.info(INVITATIONS[mode], icon=":material/draw:")
    elif fingerprint == state.hidden or not (live or fingerprint == state.asked):
        st.button("Classify", type="primary", icon=":material/search:", on_click=show, args=[fingerprint])
    else:
        image = state.brought[0] if mode == "import" else preprocess(drawing)
        predictions = []
        for model_id in chosen:
            with told_errors():  # a damaged model does not keep the others from answering
                predictions.append(share_classifier(infos[model_id], settings).predict(image))
        if not predictions:
            st.stop()
        with st.container(horizontal=True, key="answers"):
            for prediction in predictions:
                show_answer(prediction)
        warn(predictions)
        table = tabulate_probabilities(predictions)
        spec = spec_of([prediction.model_id for prediction in predictions], table)
        words = "Probability of each digit, by model"
        st.vega_lite_chart(table, spec, height=spec["height"], alt=words, key="probabilities")
        answered = (drawing, mode, image, predictions)
        ask_verdict(answered)
        state.shown = answered
        help = "Takes the answer away, not the drawing"
        st.button("Clear answer", icon=":material/visibility_off:", help=help, on_click=hide, args=[fingerprint])
        see_inside(drawing, image, [infos[prediction.model_id] for prediction in predictions], predictions)
        st.page_link("guide.py", label="How it reads a digit", icon=":material/menu_book:")
