"""The hot path: 28 x 28 image -> Prediction, on LiteRT. TensorFlow is never imported."""

import math
import threading
import time
from dataclasses import fields
from functools import lru_cache
from typing import Any

import numpy as np

from digit_core.errors import ModelUnavailable
from digit_core.evaluation import answer_set, calibrate
from digit_core.model_store import load_info, read_model_file
from digit_core.settings import Settings
from digit_core.types import ModelInfo, Prediction

IS_DIGIT = 0.5  # the least digit score of what is taken for a digit
BATCH = 64  # images in one call: more takes longer for each, and holds the lock longer


class Network:
    """The LiteRT network of one model. Safe to share between threads.

    An interpreter used by two threads at once answers wrongly, so a lock lets one in at a time.
    """

    def __init__(self, content: bytes) -> None:
        """content: the bytes of a `model.tflite`. Raises ModelUnavailable when LiteRT cannot read them."""
        from ai_edge_litert.interpreter import Interpreter

        self._lock = threading.Lock()
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
            outputs = self._interpreter.get_signature_runner().get_output_details()
        except (RuntimeError, ValueError):
            raise ModelUnavailable(
                "The file model.tflite cannot be read. Restore it or train the model again."
            ) from None
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {name: details["index"] for name, details in outputs.items()}
        self._outputs.setdefault("probabilities", next(iter(self._outputs.values())))
        self._count = 1

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Read images `(N, 28, 28) uint8`, ink bright: probabilities as trained, not calibrated, `(N, 10) float32`."""
        return self._read(images, "probabilities")[0]

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the network makes of images `(N, 28, 28) uint8` before it answers: `(N, F) float32`.

        Raises ModelUnavailable for a network that does not tell.
        """
        if "features" not in self._outputs:
            raise ModelUnavailable("This model tells its answers alone. Train it again to compare drawings by it.")
        (features,) = self._read(images, "features")
        return features.reshape(len(features), math.prod(features.shape[1:]))

    def judge(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of images `(N, 28, 28) uint8`, as above, and how much each looks like a digit, `(N,) float32`
        in 0-1, at least IS_DIGIT for what is taken for one. A network that cannot tell takes all for digits.
        """
        if "digit_score" not in self._outputs:
            probabilities = self.probabilities(images)
            return probabilities, np.maximum(probabilities.max(axis=1), IS_DIGIT)
        probabilities, scores = self._read(images, "probabilities", "digit_score")
        return probabilities, scores[:, 0]

    def _read(self, images: np.ndarray, *names: str) -> list[np.ndarray]:
        """The outputs of these names for all images, a few at a time."""
        x = np.zeros((max(len(images), 1), 28, 28, 1), np.float32)  # LiteRT reads one at least
        x[: len(images), ..., 0] = images
        x /= 255
        answers = [self._run(x[start : start + BATCH], names) for start in range(0, len(x), BATCH)]
        return [np.concatenate(parts)[: len(images)] for parts in zip(*answers, strict=True)]

    def _run(self, x: np.ndarray, names: tuple[str, ...]) -> list[np.ndarray]:
        with self._lock:
            if len(x) != self._count:
                self._interpreter.resize_tensor_input(self._input, x.shape)
                self._interpreter.allocate_tensors()
                self._count = len(x)
            self._interpreter.set_tensor(self._input, x)
            self._interpreter.invoke()
            return [np.array(self._interpreter.get_tensor(self._outputs[name])) for name in names]


class Classifier:
    """A model that answers, with calibrated probabilities. Safe to share between threads."""

    def __init__(self, info: ModelInfo, network: Network) -> None:
        self.info = info
        self.network = network

    def predict(self, image: np.ndarray) -> Prediction:
        """Read one preprocessed image, `(28, 28) uint8`, ink bright."""
        return self.predict_all(image[None])[0]

    def predict_all(self, images: np.ndarray) -> list[Prediction]:
        """Read many preprocessed images, `(N, 28, 28) uint8`, ink bright; each is told its share of the time."""
        start = time.perf_counter()
        probabilities, scores = self.judge(images)
        digits = probabilities.argmax(axis=1).tolist()
        confidences = probabilities.max(axis=1).tolist()
        elapsed_ms = 1000 * (time.perf_counter() - start) / max(len(images), 1)
        return [
            Prediction(
                digit=digit,
                confidence=confidence,
                probabilities=row,
                digit_score=score,
                is_digit=score >= IS_DIGIT,
                answer_set=answer_set(row, self.info.calibration),
                image=image.astype(np.float32) / 255,
                model_id=self.info.model_id,
                elapsed_ms=elapsed_ms,
            )
            for digit, confidence, row, score, image in zip(
                digits, confidences, probabilities, scores.tolist(), images, strict=True
            )
        ]

    def judge(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read many preprocessed images, `(N, 28, 28) uint8`: calibrated probabilities, `(N, 10) float32`, and digit
        scores, `(N,) float32` in 0-1, from IS_DIGIT on of what looks like a digit."""
        probabilities, scores = self.network.judge(images)
        return calibrate(probabilities, self.info.calibration), scores

    def predict_probabilities(self, images: np.ndarray) -> np.ndarray:
        """Read many preprocessed images, `(N, 28, 28) uint8`: calibrated probabilities, `(N, 10) float32`."""
        return calibrate(self.network.probabilities(images), self.info.calibration)


def to_plain(prediction: Prediction) -> dict[str, Any]:
    """A prediction as JSON shows it to other programs, without the image."""
    values = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
    values |= {"probabilities": prediction.probabilities.tolist(), "model": values.pop("model_id")}
    del values["image"]
    return values


def share_classifier(info: ModelInfo, settings: Settings) -> Classifier:
    """The classifier of a model, loaded once per process and version of its network. Raises ModelUnavailable."""
    return _load(info.model_id, info.sha256["model.tflite"], settings)


@lru_cache(maxsize=8)
def _load(model_id: str, sha256: str, settings: Settings) -> Classifier:
    return load_classifier(model_id, settings)


def load_classifier(model_id: str, settings: Settings) -> Classifier:
    """Load a stored model. Raises ModelUnavailable when it is missing or damaged."""
    info = load_info(model_id, settings)
    return Classifier(info, Network(read_model_file(info, "model.tflite", settings)))
