"""What the API does, in threads: so many requests at a time, by the models and the feedback of this process."""

import asyncio
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException

from digit_core.api_errors import find_kind
from digit_core.api_input import MAX_BATCH_PARTS, check, count_values, parse_json, read_body, read_json_drawing
from digit_core.api_schemas import FeedbackBody, ListedModel
from digit_core.classifier import Classifier, share_classifier, to_plain
from digit_core.errors import DigitError, ModelUnavailable, NoDefault
from digit_core.feedback import share_store, to_answer
from digit_core.model_store import list_models, load_default, load_info
from digit_core.preprocessing import preprocess
from digit_core.settings import Settings
from digit_core.types import Feedback, ModelInfo

WAITING = 64  # requests of a pool at a time, those that are being answered included
MAX_VALUES = 2 * MAX_BATCH_PARTS  # in JSON, of all batches together
FRESH_S = 1.0  # for which a model is not looked up again
PART, PART_S = 32, 0.2  # drawings of a batch, and seconds, after which others have their turn
DATABASE_THREADS, LOOKUP_THREADS = 4, 2
Result = TypeVar("Result")


class Pool:
    """Threads that answer requests, of which so many may wait and no more."""

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, "api")
        self._room = threading.BoundedSemaphore(WAITING)

    async def run(self, work: Callable[..., Result], *args: Any) -> Result:
        """Do some work in a thread. Raises HTTPException with 503 when too many wait.

        What nobody waits for any more keeps its room until it is done: a thread cannot be stopped.
        """
        self._enter()
        future = asyncio.wrap_future(self._threads.submit(work, *args))
        future.add_done_callback(self._leave)
        return await asyncio.shield(future)

    async def run_in_turns(self, work: Callable[..., list[Result]], *args: Any) -> list[Result]:
        """Do a work that returns a part of its results each time, and none when it is done; others come between."""
        self._enter()
        results: list[Result] = []
        try:
            while part := await asyncio.wrap_future(self._threads.submit(work, *args)):
                results += part
        finally:
            self._room.release()
        return results

    def _enter(self) -> None:
        if not self._room.acquire(blocking=False):
            raise HTTPException(503, "Too many ask at once. Send it again in a second.")

    def _leave(self, future: asyncio.Future[Any]) -> None:
        self._room.release()
        if not future.cancelled():
            future.exception()  # asyncio warns of one that nobody has seen

    def close(self) -> None:
        """Let the threads end when they have done what they are at."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Service:
    """What the API does, by one process's models and feedback; threads share it.

    Three pools, so that neither a busy database nor pictures that take long keep `/health` and `/models` waiting, nor
    each other.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.reading = Pool(os.cpu_count() or 1)
        self.database = Pool(DATABASE_THREADS)
        self.lookups = Pool(LOOKUP_THREADS)
        self._values = 0
        self._found: dict[str, tuple[float, ModelInfo]] = {}

    @contextmanager
    def room_for(self, batch: bytes) -> Iterator[None]:
        """Count the values in a batch's JSON, each of which takes far more memory than its text, while it is there.

        Raises HTTPException with 503 when there is no room for them. To be asked in the event loop alone.
        """
        values = count_values(batch)
        if self._values + values > MAX_VALUES:
            raise HTTPException(503, "Too much is being read at once. Send it again in a second.")
        self._values += values
        try:
            yield
        finally:
            self._values -= values

    def find_classifier(self, model_id: str = "") -> Classifier:
        """The classifier of a model, or of the default one. Raises ModelUnavailable, or NoDefault."""
        now = time.monotonic()
        found = self._found.get(model_id)
        try:
            if found is None or now - found[0] > FRESH_S:
                info = load_info(model_id or load_default(self.settings), self.settings)
                found = self._found[model_id] = now, info
            return share_classifier(found[1], self.settings)
        except ModelUnavailable as error:
            if model_id:
                raise
            raise NoDefault(str(error)) from None

    def read(self, body: bytes, content_type: str, model_id: str) -> dict[str, Any]:
        """Read the drawing of a request. Raises UnreadableInput, EmptyDrawing, ModelUnavailable."""
        classifier = self.find_classifier(model_id)
        return to_plain(classifier.predict(preprocess(read_body(body, content_type))))

    def read_some(self, items: Iterator[Any], model_id: str) -> list[dict[str, Any]]:
        """Read drawings of a batch for a while; what is wrong with one stands in its place. Raises ModelUnavailable."""
        classifier = self.find_classifier(model_id)
        answers: list[dict[str, Any]] = []
        images: dict[int, np.ndarray] = {}  # by the place of their answer
        end = time.monotonic() + PART_S
        for place, item in enumerate(items):
            try:
                images[place] = preprocess(read_json_drawing(item))
                answers.append({})
            except DigitError as error:
                _, code = find_kind(error)
                answers.append({"error": {"code": code, "message": str(error)}})
            if place + 1 == PART or time.monotonic() > end:
                break
        if images:
            for place, prediction in zip(images, classifier.predict_all(np.stack([*images.values()])), strict=True):
                answers[place] = to_plain(prediction)
        return answers

    def add_feedback(self, body: bytes) -> str:
        """Keep what somebody says of a drawing beside what the model says of it, and return the entry's id.

        Raises UnreadableInput, InvalidLabel, EmptyDrawing, ModelUnavailable, FeedbackUnavailable.
        """
        value = parse_json(body)
        said = check(FeedbackBody, value)
        drawing = read_json_drawing(value)
        image = preprocess(drawing)
        classifier = self.find_classifier(said.model or "")
        answer = to_answer(classifier.predict(image), classifier.info.sha256["model.tflite"])
        feedback_id = str(said.id or uuid.uuid4())
        now = datetime.now(UTC)
        entry = Feedback(feedback_id, now, "api", drawing, "api", image, (answer,), said.true_digit, source="api")
        share_store(self.settings.database_url).add(entry)
        return feedback_id

    def list_models(self) -> list[ListedModel]:
        """The models that can read."""
        return self._list(list_models(self.settings))

    def load_model(self, model_id: str) -> ListedModel:
        """What is known of one model. Raises ModelUnavailable."""
        return self._list([load_info(model_id, self.settings)])[0]

    def _list(self, infos: list[ModelInfo]) -> list[ListedModel]:
        default = load_default(self.settings)
        return [ListedModel(**vars(info), default=info.model_id == default) for info in infos]

    def count_feedback(self) -> dict[str, Any]:
        """How often the models were right. Raises FeedbackUnavailable."""
        return share_store(self.settings.database_url).stats().to_plain()

    def close(self) -> None:
        """Let the threads end."""
        for pool in (self.reading, self.database, self.lookups):
            pool.close()
