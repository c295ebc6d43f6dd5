"""The nouns of Digit Lab: frozen values that pass between its parts.

Images are `(28, 28)`, ink bright on a black ground, as in MNIST. Classes that hold arrays compare by identity.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np

MODEL_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # what may name a model
STARTER_IDS = ("cnn", "ann")
Architecture = Literal["ann", "cnn"]
Schedule = Literal["constant", "cosine", "one-cycle"]
Optimizer = Literal["adam", "adamw", "sgd"]
Padding = Literal["same", "valid"]
Status = Literal["queued", "running", "finished", "stopped", "failed", "lost"]
EventKind = Literal["queued", "started", "batch", "epoch", "finished", "stopped", "failed"]
Source = Literal["dashboard", "api", "import"]
InputKind = Literal["canvas", "upload", "camera", "api", "import"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, `x (N, 28, 28) uint8` with bright ink and `y (N,) int64` in 0-9, to train and to test.

    Among those to train on, -1 labels what is no digit: no answer is more right than another.
    `sha256` is the digest of the arrays' bytes in C order, one array after the other.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class Drawing:
    """What came in: pen strokes, or a picture.

    strokes: each `(K, 2) float64`, x and y in canvas pixels, y down.
    image: `(H, W) uint8`, ink bright on 0. Used when there are no strokes.
    """

    strokes: tuple[np.ndarray, ...] = ()
    image: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of a drawing.

    confidence, and digit_score, how much it looks like a digit at all, lie in 0-1; probabilities: `(10,) float32`,
    summing to 1; answer_set: the digits that hold the true one in 99.5 % of cases, most probable first; image:
    `(28, 28) float32` in 0-1, as the model saw it.
    """

    digit: int
    confidence: float
    probabilities: np.ndarray
    digit_score: float
    is_digit: bool
    answer_set: tuple[int, ...]
    image: np.ndarray
    model_id: str
    elapsed_ms: float


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training: the same config, data and seed make the same network.

    hidden_units is read for an ANN. A CNN has a block for each number of `filters`: so many `convolutions`, then a
    pooling that halves the image; kernel_sizes (pixels) holds one for each block, or one for all; with padding `valid`
    a convolution shrinks the image by its kernel; global_pooling averages each filter over the image where else all
    pixels go on; dense_units come between blocks and output.
    elastic is how far ink moves at most when images that `augment` changes are bent too, in pixels (root mean square);
    label_smoothing is the share of certainty taken from each label and given to all; teacher_id names a model whose
    answers are half of what is learned. validation_fraction is the share at the end of the training images;
    early_stopping counts epochs without a better validation loss (0: off); time_budget_s counts seconds of training
    (0: none), into which the schedule fits itself. With a base_model_id the network begins as that model and learns
    what people said, of that the one visitor who is named, and from the moment `since` until before the moment `until`
    (ISO 8601).
    """

    architecture: Architecture = "cnn"
    dataset: str = "mnist"
    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 3e-3
    schedule: Schedule = "one-cycle"
    optimizer: Optimizer = "adamw"
    hidden_units: tuple[int, ...] = (512, 512)
    filters: tuple[int, ...] = (16, 32, 64)
    kernel_sizes: tuple[int, ...] = (3,)
    convolutions: int = 2
    padding: Padding = "same"
    global_pooling: bool = False
    batch_norm: bool = True
    dense_units: tuple[int, ...] = ()
    dropout: float = 0.2
    augment: bool = True
    elastic: float = 0.0
    label_smoothing: float = 0.0
    teacher_id: str | None = None
    validation_fraction: float = 1 / 12
    early_stopping: int = 0
    time_budget_s: float = 0.0
    seed: int = 0
    base_model_id: str | None = None
    visitor: str | None = None
    since: str | None = None
    until: str | None = None


FOR_ANN = ("hidden_units",)  # settings that a CNN does not read
FOR_CNN = ("filters", "kernel_sizes", "convolutions", "padding", "global_pooling", "dense_units")


@dataclass(frozen=True)
class Layer:
    """A layer of a network: the shape of what it gives for one image, its parameters, its multiplications for one."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiplications: int


@dataclass(frozen=True)
class TrainEvent:
    """One line of a run's diary; time is UTC in seconds since 1970, epoch and batch count from 1.

    metrics holds some of loss (nats), accuracy, val_loss and val_accuracy: a `batch` event's are means over the batches
    since the one before, an `epoch` event's over the epoch. elapsed_s counts the seconds of training, those before a
    resume included; eta_s is the time left in seconds: in a diary until the model can read, as training tells it until
    the last epoch's end. share: how much is done, 0-1, of what the message of a `started` event says goes on. answers:
    what the network now says of the first validation images, in some of the events. owner, of a `queued` event: the
    visitor who wants the run, a session or nobody in particular; sweep: the one that it is part of.
    """

    kind: EventKind
    time: float
    epoch: int = 0
    batch: int = 0
    batches_per_epoch: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    elapsed_s: float = 0.0
    eta_s: float | None = None
    answers: tuple[int, ...] = ()
    message: str = ""
    share: float | None = None
    owner: str = ""
    sweep: str = ""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Where a training stood at an epoch's end: the Keras network with its optimizer, the `epoch` events until then.

    sha256 is that of the data set, without which it cannot go on to the same end.
    """

    network: Any
    epochs: tuple[TrainEvent, ...]
    sha256: str


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images to look at, `(N, 28, 28) uint8`, with what is right and what a network said of them, both `(N,) int64`."""

    images: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray


@dataclass(frozen=True)
class Run:
    """A training run: its folder bears the id that its model will have. The times are those of its last start.

    elapsed_s counts the seconds of training so far; owner names the visitor who wants it, sweep what it is part of.
    """

    run_id: str
    config: TrainConfig
    status: Status
    queued_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: float
    owner: str = ""
    sweep: str = ""


@dataclass(frozen=True)
class Sweep:
    """Several runs that differ in the settings `varied`, in the order in which they were started.

    prune: runs whose validation accuracy lags behind the others' are stopped; time_s: the seconds after the first one's
    start in which all are stopped that are not done, 0 for no limit.
    """

    sweep_id: str
    created_at: datetime
    varied: tuple[str, ...]
    run_ids: tuple[str, ...]
    prune: bool
    time_s: float


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a stored model; losses are in nats, `sha256` maps each of its files to its digest.

    imported: its network was made elsewhere, so that its config tells only the kind and what it was tested on, and its
    training figures are of the images that calibrated it.
    """

    model_id: str
    architecture: Architecture
    created_at: datetime
    parent_id: str | None
    parameters: int
    size_bytes: int
    train_accuracy: float
    train_loss: float
    test_accuracy: float
    test_loss: float
    calibration: dict[str, float]
    dataset: str
    sha256: dict[str, str]
    versions: dict[str, str]
    config: TrainConfig
    imported: bool

    @property
    def tested_on(self) -> str:
        """Whose test images its test figures are of: `MNIST`, or `synthetic`."""
        return "MNIST" if self.dataset.split("+")[0] == "mnist" else "synthetic"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How predictions compare with the truth over N samples.

    loss is in nats, ece the expected calibration error in 0-1; confusion_matrix: `(10, 10) int64`, `[true, predicted]`;
    precision, recall, f1: `(10,) float64`, 0 where undefined; support: `(10,) int64`; mistakes: indices into the
    samples, most confident first.
    """

    accuracy: float
    loss: float
    ece: float
    confusion_matrix: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    mistakes: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """How two models read the same `total` images: how many each read rightly, and how many only the first one.

    by_digit holds the same for each digit of 0-9: `(total, before, after)`.
    """

    name: str
    total: int
    before: int
    after: int
    turned_wrong: int
    by_digit: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, eq=False)
class Feedback:
    """What a person said of one drawing.

    id is a UUID chosen by the client, a repeat is the same entry; image: `(28, 28) uint8`, as the models saw it;
    answers: one `{"model_id", "sha256", "digit", "confidence"}` per model, the leading one first, none if it
    was collected without a prediction; true_digit: None where it is no digit, and where nobody judged it;
    reviewed_at: when somebody last confirmed or corrected the label; times in UTC.
    """

    id: str
    created_at: datetime
    session_id: str
    drawing: Drawing
    input_kind: InputKind
    image: np.ndarray
    answers: tuple[dict[str, Any], ...]
    true_digit: int | None
    visitor: str | None = None
    comment: str = ""
    source: Source = "dashboard"
    deleted_at: datetime | None = None
    judged: bool = True
    reviewed_at: datetime | None = None


def name_of(model_id: str) -> str:
    """What people call a model: `CNN` and `ANN` for the starters `cnn` and `ann`, else its id."""
    return model_id.upper() if model_id in STARTER_IDS else model_id
