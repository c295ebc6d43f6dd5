"""The hot path: 28 x 28 image -> Prediction, on LiteRT. TensorFlow is never imported."""

import threading
import time

import numpy as np

from digit_core.errors import ModelUnavailable
from digit_core.evaluation import answer_set, calibrate
from digit_core.model_store import load_info, read_model_file
from digit_core.settings import Settings
from digit_core.types import ModelInfo, Prediction

BATCH = 256  # images in one call: more gains nothing and holds the lock longer


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
        self._output = outputs.get("probabilities", next(iter(outputs.values())))["index"]  # beside the features
        self._count = 1

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Read images `(N, 28, 28) uint8`, ink bright: probabilities as trained, not calibrated, `(N, 10) float32`."""
        x = images[..., None].astype(np.float32) / 255  # (N, 28, 28, 1)
        answers = [self._run(x[start : start + BATCH]) for start in range(0, len(x), BATCH)]
        return np.concatenate([np.empty((0, 10), np.float32), *answers])

    def _run(self, x: np.ndarray) -> np.ndarray:
        with self._lock:
            if len(x) != self._count:
                self._interpreter.resize_tensor_input(self._input, x.shape)
                self._interpreter.allocate_tensors()
                self._count = len(x)
            self._interpreter.set_tensor(self._input, x)
            self._interpreter.invoke()
            return np.array(self._interpreter.get_tensor(self._output))


class Classifier:
    """A model that answers, with calibrated probabilities. Safe to share between threads."""

    def __init__(self, info: ModelInfo, network: Network) -> None:
        self.info = info
        self._network = network

    def predict(self, image: np.ndarray) -> Prediction:
        """Read one preprocessed image, `(28, 28) uint8`, ink bright."""
        start = time.perf_counter()
        probabilities = self.predict_probabilities(image[None])[0]
        digit = int(probabilities.argmax())
        confidence = float(probabilities[digit])
        return Prediction(
            digit=digit,
            confidence=confidence,
            probabilities=probabilities,
            digit_score=confidence,
            is_digit=True,
            answer_set=answer_set(probabilities, self.info.calibration),
            image=image.astype(np.float32) / 255,
            model_id=self.info.model_id,
            elapsed_ms=1000 * (time.perf_counter() - start),
        )

    def predict_probabilities(self, images: np.ndarray) -> np.ndarray:
        """Read many preprocessed images, `(N, 28, 28) uint8`: calibrated probabilities, `(N, 10) float32`."""
        return calibrate(self._network.probabilities(images), self.info.calibration)


def load_classifier(model_id: str, settings: Settings) -> Classifier:
    """Load a stored model. Raises ModelUnavailable when it is missing or damaged."""
    info = load_info(model_id, settings)
    return Classifier(info, Network(read_model_file(info, "model.tflite", settings)))
