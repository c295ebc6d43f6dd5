"""How much a drawing looks like a digit at all: a small network that judges by what a larger one makes of an image.

The larger one keeps its answers as they are. Learned from what the program draws and from what the network was trained
on, digits and others (outlier exposure, Hendrycks et al. 2019).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from digit_core.architectures import import_keras
from digit_core.bank import Bank
from digit_core.training import to_input

TURNED_AWAY = 0.004  # the share of digits of a kind that score below 0.5, at most
HELD_OUT = 1_000  # digits of the bank that choose this threshold, beside those that validate
KNOWN = 1.5  # digits that the network was trained on, for each image that is no digit
EPOCHS, BATCH = 15, 256
UNITS = 128, 128
UNLIKELY = 1e-5  # probabilities below are all alike
LOOKED, LEARNED = 0.6, 0.9  # the share done when the larger network has looked, and when the small one has learned


def learn_digit_score(
    reader: Any,
    bank: Bank,
    x_known: np.ndarray,
    y_known: np.ndarray,
    validating: Sequence[np.ndarray],
    seed: int = 0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Any:
    """Learn to tell digits from the rest, from the features and the probabilities that a reader tells.

    reader: a Keras model, as `make_reader` makes it; x_known, y_known: what its network was trained on, -1 for what is
    no digit; validating: other digits, by kind, that choose the threshold; images `(N, 28, 28) uint8`. `on_progress` is
    told the share done, 0-1.
    Returns a Keras model `[(N, F) features, (N, 10) probabilities] -> (N, 1) float32` in 0-1, at least 0.5 for what is
    taken for a digit: for all but about TURNED_AWAY of the kind that is hardest to tell, before weights become int8.
    Raises TrainingUnavailable.
    """
    keras, rng = import_keras(), np.random.default_rng(seed)
    others = np.concatenate([bank.others, x_known[y_known < 0]])
    known = np.flatnonzero(y_known >= 0)
    chosen = rng.permutation(known)[: int(KNOWN * len(others))]
    digits = np.concatenate([bank.digits[:-HELD_OUT], x_known[chosen]])
    batches = math.ceil((len(digits) + len(others)) / BATCH)
    looked = keras.callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: on_progress(LOOKED * (batch + 1) / batches)
    )
    learned = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_progress(LOOKED + (LEARNED - LOOKED) * (epoch + 1) / EPOCHS)
    )
    seen = _look(reader, np.concatenate([digits, others]), looked)
    is_digit = np.arange(len(digits) + len(others)) < len(digits)
    head, score = _build(keras, seen, seed)
    head.compile("adam", loss=keras.losses.BinaryCrossentropy(from_logits=True))
    head.fit(seen, is_digit, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[learned])
    kinds = (*validating, bank.digits[-HELD_OUT:])
    least = min(float(np.quantile(head.predict(_look(reader, kind), verbose=0), TURNED_AWAY)) for kind in kinds)
    on_progress(1.0)
    last = head.layers[-1]
    weights, bias = last.get_weights()
    last.set_weights([weights, bias - least])
    return score


def _look(reader: Any, images: np.ndarray, *callbacks: Any) -> list[np.ndarray]:
    """What the reader makes of images: features `(N, F)` and probabilities `(N, 10)`, both float32."""
    return list(reader.predict(to_input(images), batch_size=BATCH, verbose=0, callbacks=list(callbacks)))


def _build(keras: Any, seen: list[np.ndarray], seed: int) -> tuple[Any, Any]:
    """The judge, untrained, once with logits and once with its score as output; its input is brought to one scale."""
    layers = keras.layers
    keras.utils.set_random_seed(seed)
    inputs = [keras.Input(each.shape[1:]) for each in seen]
    logs = keras.ops.log(keras.ops.maximum(inputs[1], UNLIKELY))
    flat = layers.Concatenate()([inputs[0], logs, inputs[1]])
    scale = layers.Normalization()
    x = layers.Dropout(0.2)(scale(flat))
    for units in UNITS:
        x = layers.Dropout(0.3)(layers.Dense(units, activation="relu")(x))
    logit = layers.Dense(1)(x)
    scale.adapt(keras.Model(inputs, flat).predict(seen, verbose=0))
    return keras.Model(inputs, logit), keras.Model(inputs, keras.ops.sigmoid(logit))
