"""Whether explanations explain, and how long they take.

python -m tests.benchmarks.explain [MODEL ...]     needs DIGIT_LAB_MNIST and Chromium

First: how far the answer's probability falls when the heaviest fifth of the ink is erased, and a random fifth, pixel by
pixel, over 1,000 test images. Second: from the press of a button until an explanation is seen in a browser.
"""

import argparse
import os
import shutil
import statistics
import sys
import time

import numpy as np

from digit_core.classifier import Classifier, load_classifier
from digit_core.datasets import load_mnist
from digit_core.explain import weigh_ink
from digit_core.model_store import STARTER_IDS
from digit_core.settings import read_settings

IMAGES = 1_000
SHARE = 0.2  # of the ink, that is erased
VIEWS = {"Which ink": "ink", "Look-alikes": "alike", "What if": "changes", "Replay": "replay"}  # and the end of its key
TIMES = 15  # that each view is asked for


def erase(image: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Take away, in this order of pixels, a share of the ink."""
    flat = image.ravel().copy()
    taken = int(np.searchsorted(np.cumsum(flat[order], dtype=float), SHARE * flat.sum(dtype=float)))
    flat[order[:taken]] = 0
    return flat.reshape(image.shape)


def measure_ink(classifier: Classifier, images: np.ndarray) -> tuple[float, float]:
    """How far the answers' probability falls in the mean, by weight and by chance."""
    answers = classifier.predict_probabilities(images)
    at = np.arange(len(images)), answers.argmax(axis=1)
    rng = np.random.default_rng(0)
    by_weight, by_chance = [], []
    for image, said in zip(images, answers, strict=True):
        inked = np.flatnonzero(image)
        second, first = said.argsort()[-2:].tolist()
        weights = weigh_ink(classifier, image, first, second)[0].ravel()[inked]
        by_weight.append(erase(image, inked[np.argsort(-weights)]))
        by_chance.append(erase(image, rng.permutation(inked)))
    falls = [
        float((answers[at] - classifier.predict_probabilities(np.array(some))[at]).mean())
        for some in (by_weight, by_chance)
    ]
    return falls[0], falls[1]


def measure_views(url: str, chromium: str) -> dict[str, list[float]]:
    """Milliseconds from the press of each view's button until it is seen, in turn, the first round left out."""
    from playwright.sync_api import sync_playwright

    from tests.benchmarks.screenshots import draw_seven
    from tests.benchmarks.speed import CHROMIUM_FLAGS

    times: dict[str, list[float]] = {name: [] for name in VIEWS}
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS).new_page()
        page.goto(url)
        draw_seven(page)
        for turn in range(TIMES + 1):
            for name, key in VIEWS.items():
                seen = page.locator(f".st-key-inside_{key} img").first
                start = time.perf_counter()
                page.locator(".st-key-inside").get_by_text(name, exact=True).click()
                seen.wait_for()
                if turn:
                    times[name].append(1000 * (time.perf_counter() - start))
                page.wait_for_timeout(300)
    return times


def main() -> None:
    from tests.benchmarks.speed import server

    parser = argparse.ArgumentParser(description="Whether explanations explain, and how long they take.")
    parser.add_argument("models", nargs="*", default=list(STARTER_IDS))
    chosen = parser.parse_args()
    settings = read_settings()
    images = load_mnist(settings).x_test[:IMAGES]
    print("| a fifth of the ink erased: the answer's probability falls by | by weight | by chance | times |")
    print("|---|---:|---:|---:|")
    for model_id in chosen.models:
        weighed, random = measure_ink(load_classifier(model_id, settings), images)
        print(f"| {model_id} | {weighed:.3f} | {random:.3f} | {weighed / random:.1f} |", flush=True)

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("Install Chromium, or name it in CHROMIUM, for how long explanations take.")
    with server() as (address, *_):
        times = measure_views(address, chromium)
    print("\n| from a press until it is seen, ms | median | 95 % |\n|---|---:|---:|")
    for name, each in times.items():
        print(f"| {name} | {statistics.median(each):.0f} | {np.quantile(each, 0.95):.0f} |")


if __name__ == "__main__":
    main()
