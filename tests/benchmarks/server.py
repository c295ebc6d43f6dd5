"""How many requests the API answers on two cores, load included, beside a Flask server that calls `model.predict`.

`python -m tests.benchmarks.server`, after `pip install flask`; the clicks on the dashboard meanwhile want Chromium.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from digit_core.classifier import Classifier
from digit_core.settings import ROOT, STARTERS
from digit_core.strokes import sketch
from digit_core.types import Prediction
from tests.benchmarks.live import INPUTS, click_ms, open_page
from tests.benchmarks.speed import CHROMIUM_FLAGS
from tests.live import find_port

CONNECTIONS = 16
SECONDS, WARM_UP, CLICKING = 5.0, 1.0, 20.0
ROUNDS = 3
SEVEN = [[[60, 50], [200, 50], [120, 230]], [[80, 140], [180, 140]]]
BATCH = 64  # drawings


def without_inference():
    """The same server, whose networks answer at once: an ASGI application."""
    probabilities = np.full(10, 0.1, np.float32)
    answer = Prediction(7, 0.1, probabilities, 0.1, True, (7,), np.zeros((28, 28), np.float32), "none", 0.0)
    Classifier.predict_all = lambda self, images: [answer] * len(images)
    from streamlit_app import app

    return app


def flask_app():
    """What most apps do: decode, shrink, `model.predict`."""
    import flask
    import keras

    app = flask.Flask("peer")
    model = keras.models.load_model(STARTERS / "cnn" / "model.keras", compile=False)

    @app.post("/api/predict")
    def predict():
        picture = cv2.imdecode(np.frombuffer(flask.request.get_data(), np.uint8), cv2.IMREAD_GRAYSCALE)
        image = cv2.resize(picture, (28, 28), interpolation=cv2.INTER_AREA)
        probabilities = model.predict(image[None, :, :, None] / 255, verbose=0)[0]
        return {"digit": int(probabilities.argmax()), "probabilities": probabilities.tolist()}

    @app.get("/api/health")
    def health():
        return {"status": "ok"}

    return app


def serve_flask(port: int) -> None:
    """Run the Flask server as `flask run` does, a thread a request."""
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    flask_app().run(port=port, threaded=True)


@contextmanager
def serving(*command: str) -> Iterator[int]:
    """Run a server and lend its port."""
    port = find_port()
    words = [word.replace("PORT", str(port)) for word in command]
    server = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()


async def ask_again_and_again(port: int, request: bytes, until: float, times: list[tuple[float, float]]) -> None:
    """Send a request over one connection as soon as the answer to the one before has come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (start := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.0 200")):
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append((start, time.perf_counter() - start))
        if b"connection: close" in head.lower():
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()


def load(
    port: int, body: bytes, kind: str, path: str = "/api/predict", seconds: float = SECONDS
) -> tuple[float, float, float]:
    """Requests a second, and the median and the 99th percentile of milliseconds."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    times: list[tuple[float, float]] = []
    begin = time.perf_counter() + WARM_UP
    end = begin + seconds

    async def ask() -> None:
        await asyncio.gather(*(ask_again_and_again(port, request, end, times) for _ in range(CONNECTIONS)))

    asyncio.run(ask())
    taken = [1000 * took for start, took in times if start >= begin]
    return len(taken) / seconds, median(taken), float(np.percentile(taken, 99))


def clicks_meanwhile(port: int, body: bytes, kind: str) -> float | None:
    """Median milliseconds of a click on the dashboard while the API is asked at full speed; None without Chromium."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        return None
    with sync_playwright() as playwright, ThreadPoolExecutor(1) as elsewhere:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = open_page(browser, f"http://127.0.0.1:{port}")
        page.locator(next(iter(INPUTS.values()))).or_(page.locator(INPUTS["Draw"])).first.wait_for()
        asking = elsewhere.submit(load, port, body, kind, seconds=CLICKING)
        times = click_ms(page)
        asking.result()
        browser.close()
    return median(times)


def main() -> None:
    png = cv2.imencode(".png", sketch([np.array(stroke, float) for stroke in SEVEN], 20))[1].tobytes()
    strokes = json.dumps({"strokes": SEVEN}).encode()
    batch = json.dumps({"items": [{"strokes": SEVEN}] * BATCH}).encode()
    asked = {
        "280 x 280 PNG": (png, "image/png", "/api/predict"),
        "strokes": (strokes, "application/json", "/api/predict"),
        f"batch of {BATCH} strokes": (batch, "application/json", "/api/predict/batch"),
    }
    uvicorn = ("-m", "uvicorn", "--port", "PORT", "--no-access-log")
    with serving("-m", "tests.benchmarks.server", "PORT") as port:
        theirs = load(port, *asked["280 x 280 PNG"])
    print("| asked for by 16 connections | a second | median / 99 %, ms | of no inference | of Flask |")
    print("|---|---:|---:|---:|---:|")
    bare_server = serving(*uvicorn, "--factory", "tests.benchmarks.server:without_inference")
    with serving(*uvicorn, "streamlit_app:app") as port, bare_server as bare:
        for name, request in asked.items():
            rounds = [(load(port, *request), load(bare, *request)[0]) for _ in range(ROUNDS)]
            rate, middle, high = np.median([ours for ours, _ in rounds], axis=0)
            share = median(ours[0] / without for ours, without in rounds)
            times = rate * (BATCH if name.startswith("batch") else 1) / theirs[0]
            print(f"| {name} | {rate:.0f} | {middle:.0f} / {high:.0f} | {share:.0%} | {times:.1f} times |", flush=True)
        print(f"| Flask and `model.predict`, the PNG | {theirs[0]:.1f} | {theirs[1]:.0f} / {theirs[2]:.0f} | | |")
        clicks = clicks_meanwhile(port, png, "image/png")
    if clicks is not None:
        print(f"\nA click on the dashboard meanwhile: {clicks:.0f} ms (median)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_flask(int(sys.argv[1]))
    else:
        main()
