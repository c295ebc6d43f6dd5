"""How fast it answers: start, memory, preprocessing, prediction, beside Keras's `predict` in the same run.

python -m tests.benchmarks.speed     prints a Markdown table; two rows need Chromium
"""

import io
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import cv2
import numpy as np
import psutil
from PIL import Image

from digit_core.classifier import load_classifier
from digit_core.model_store import STARTER_IDS, model_folder
from digit_core.pictures import read_picture
from digit_core.preprocessing import preprocess
from digit_core.settings import ROOT, read_settings
from digit_core.strokes import sketch, strokes_from_canvas
from digit_core.synthetic import draw_digit
from digit_core.types import Drawing

RUNS = 300
PREDICTIONS = 100
VISITS = 5
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def median_ms(call: Callable[[], object], runs: int = RUNS) -> float:
    """Median time of a call in milliseconds, after ten calls that do not count."""
    for _ in range(10):
        call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def eight(side: int = 280) -> list[np.ndarray]:
    """A digit on a canvas of that side, drawn by the program."""
    strokes = draw_digit(8, np.random.default_rng(8))
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    return [(stroke - low) * 0.6 * side / (high - low).max() + 0.2 * side for stroke in strokes]


def canvas_json() -> dict[str, object]:
    """The drawing as the canvas sends it."""
    objects = []
    for stroke in eight():
        path = [["M", *stroke[0]], *(["Q", *a, *(a + b) / 2] for a, b in pairwise(stroke))]
        low, high = stroke.min(axis=0), stroke.max(axis=0)
        left, top = (low + high) / 2
        objects.append(
            {"type": "Path", "path": [*path, ["L", *stroke[-1]]], "left": left, "top": top, "strokeWidth": 20}
            | {"scaleX": 1, "scaleY": 1, "angle": 0, "flipX": False, "flipY": False}
        )
    return {"objects": objects}


def clean_picture() -> bytes:
    """A 280 x 280 PNG, white ink on black."""
    return encode(sketch(eight(), 20, 280), "PNG")


def photograph() -> bytes:
    """A 1280 x 960 JPEG of dark ink on unevenly lit, grainy paper."""
    rng = np.random.default_rng(0)
    ink = np.zeros((960, 1280), np.float32)
    ink[100:900, 200:1000] = sketch(eight(800), 26, 800) / 255
    y, x = np.mgrid[0:1:960j, 0:1:1280j]
    paper = (225 - 70 * x - 40 * y**2) * (1 - 0.75 * cv2.GaussianBlur(ink, (0, 0), 1.5))
    grain = rng.normal(0, 4, (960, 1280, 1)) + rng.normal(0, 1, (960, 1280, 3))
    return encode((paper[..., None] * (1, 0.98, 0.93) + grain).clip(0, 255).astype(np.uint8), "JPEG")


def encode(pixels: np.ndarray, format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format)
    return file.getvalue()


@contextmanager
def server() -> Iterator[tuple[str, float, psutil.Process]]:
    """The app on a free port: its address, the seconds to a healthy answer, its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    options = [f"--server.port={address.rpartition(':')[2]}", "--server.address=127.0.0.1"]
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "DIGIT_LAB_MODELS": f"{scratch}/models",
            "DIGIT_LAB_DATABASE_URL": f"sqlite:///{scratch}/feedback.sqlite3",
        }
        command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", *options]
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while True:
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.02)
            yield address, time.perf_counter() - start, psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(20)


def open_and_draw(address: str, chromium: str) -> float:
    """Draw strokes in a real browser until the page has read that many drawings; returns the seconds until the canvas
    of a page is there, in the median of several, each opened with nothing in the browser's cache.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        seconds = []
        for _ in range(VISITS):
            page = browser.new_page()  # in a context of its own
            start = time.perf_counter()
            page.goto(address, wait_until="commit")
            canvas = page.locator("[class*=st-key-canvas_] canvas.upper-canvas").first
            canvas.wait_for(timeout=60_000)
            seconds.append(time.perf_counter() - start)
        for number in range(PREDICTIONS):
            box = canvas.bounding_box()
            x, y = box["x"] + 40 + number % 20 * 10, box["y"] + 40
            page.mouse.move(x, y)
            page.mouse.down()
            page.mouse.move(x + 20, y + 180, steps=5)
            page.mouse.up()
            page.wait_for_timeout(450)
            if number % 10 == 9:
                page.get_by_role("button", name="Clear", exact=True).click()
                page.wait_for_timeout(700)
        browser.close()
    return statistics.median(seconds)


def main() -> None:
    settings = read_settings()
    rows = []
    with server() as (address, seconds, process):
        rows.append(("server start to a healthy answer", f"{seconds:.2f} s"))
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        if chromium:
            ready = open_and_draw(address, chromium)
            rows += [
                ("a page opened in Chromium until its canvas is there", f"{ready:.2f} s"),
                (f"server memory after {PREDICTIONS} drawings read", f"{process.memory_info().rss / 1e6:.0f} MB"),
            ]
    drawing, picture, photo = canvas_json(), clean_picture(), photograph()
    rows += [
        ("preprocessing, strokes", f"{median_ms(lambda: preprocess(Drawing(strokes_from_canvas(drawing)))):.2f} ms"),
        ("preprocessing, clean 280 x 280 PNG", f"{median_ms(lambda: preprocess(read_picture(picture))):.2f} ms"),
        ("preprocessing, 1280 x 960 photograph", f"{median_ms(lambda: preprocess(read_picture(photo))):.2f} ms"),
    ]
    image = preprocess(Drawing(strokes_from_canvas(drawing)))
    classifiers = {model_id: load_classifier(model_id, settings) for model_id in STARTER_IDS}
    ours = {model_id: median_ms(lambda each=each: each.predict(image)) for model_id, each in classifiers.items()}
    import keras

    x = image[None, ..., None].astype(np.float32) / 255
    for model_id, own in ours.items():
        network = keras.models.load_model(model_folder(model_id, settings) / "model.keras", compile=False)
        theirs = median_ms(lambda network=network: network.predict(x, verbose=0), runs=50)
        name = model_id.upper()
        rows += [
            (f"prediction, {name}", f"{own:.3f} ms"),
            (f"prediction, {name}, Keras `predict`", f"{theirs:.1f} ms, {theirs / own:.0f} times as long"),
        ]
    print("| what | median |\n|---|---:|")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
