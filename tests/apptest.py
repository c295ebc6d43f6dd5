"""The pages without a browser: opened, drawn on, pressed and read."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from streamlit.testing.v1 import AppTest

from digit_core.feedback import FeedbackStore
from digit_core.feedback_stats import FeedbackStats
from digit_core.settings import ROOT, read_settings

Handwriting = dict[int, tuple[np.ndarray, ...]]
SIDE = 200  # canvas pixels, the size of what is drawn


def open_app() -> AppTest:
    return AppTest.from_file(ROOT / "pages" / "_router.py", default_timeout=60).run()


def path_of(stroke: np.ndarray, **changes: Any) -> dict[str, Any]:
    """A stroke as the canvas sends it."""
    points = stroke * SIDE + 40
    left, top = (points.min(axis=0) + points.max(axis=0)) / 2
    commands = [["L" if number else "M", *point] for number, point in enumerate(points.tolist())]
    turned = {"scaleX": 1, "scaleY": 1, "angle": 0, "flipX": False, "flipY": False}
    return {"type": "Path", "path": commands, "strokeWidth": 20, "left": left, "top": top, **turned, **changes}


def send(app: AppTest, json_data: Any) -> AppTest:
    """Let the canvas send something."""
    app.session_state[f"canvas_{app.session_state['canvas_number']}"] = {"drawing": {"raw": json_data, "data": None}}
    return app.run()


def draw(app: AppTest, strokes: Sequence[np.ndarray]) -> AppTest:
    return send(app, {"objects": [path_of(stroke) for stroke in strokes], "background": "#000000"})


def press(app: AppTest, label: str) -> AppTest:
    buttons = [button for button in app.button if button.label.startswith(label)]
    assert buttons, f"no button {label!r} on the page"
    return buttons[0].click().run()


def answers(app: AppTest) -> list[str]:
    """The digits that are shown as answers."""
    assert not app.exception
    return [metric.value for metric in app.metric if metric.label.endswith("reads")]


def strokes_left(app: AppTest) -> int:
    return len(app.session_state["drawing"]["objects"])


def said(app: AppTest) -> str:
    """All sentences on the page."""
    assert not app.exception
    elements = (*app.error, *app.warning, *app.info, *app.success, *app.header, *app.caption)
    return "\n".join([str(element.value) for element in elements] + [element.text for element in app.progress])


def stats() -> FeedbackStats:
    """What the database holds, read past the page."""
    store = FeedbackStore(read_settings().database_url)
    try:
        return store.stats()
    finally:
        store.close()


def see(app: AppTest, view: str) -> AppTest:
    """Show a view of the feedback page."""
    app.switch_page("feedback.py").run()
    return app.segmented_control(key="view").set_value(view).run()


def totals(app: AppTest) -> list[str]:
    """Drawings judged, share read right and drawings misread, as the feedback page shows them."""
    see(app, "statistics")
    assert not app.exception
    return [metric.value for metric in app.metric[:3]]


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    app.segmented_control(key="mode").set_value("upload").run()
    return app.file_uploader[0].upload(name, content, "image/png").run()


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
