"""Training, on a few hundred digits that the program draws: what it tells, how it ends, how it goes on."""

import dataclasses
import itertools

import numpy as np
import pytest
from images import draw_dataset

from digit_core import training
from digit_core.architectures import accuracy, build_network, import_keras, measure_network
from digit_core.errors import DataUnavailable, InvalidConfig, ModelUnavailable
from digit_core.model_store import load_checkpoint, save_checkpoint
from digit_core.training import SAMPLE, check_config, learning_rate, split_validation, to_targets, train
from digit_core.types import TrainConfig

# Keras 3.15 saves its variables in a way that NumPy 2.4 will forbid.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

ANN = TrainConfig("ann", "synthetic", epochs=3, batch_size=32, hidden_units=(16,), dropout=0.3)
CNN = dataclasses.replace(ANN, architecture="cnn", filters=(4, 6), dense_units=(8,))
LENET = TrainConfig(
    filters=(6, 16),
    kernel_sizes=(5,),
    convolutions=1,
    padding="valid",
    batch_norm=False,
    dense_units=(120, 84),
)
KERAS_EXAMPLE = TrainConfig(
    filters=(32, 64), kernel_sizes=(3,), convolutions=1, padding="valid", batch_norm=False, dropout=0.5
)


@pytest.fixture(scope="module")
def dataset():
    return draw_dataset(600, 100)


def never():
    return False


def weights_of(network):
    return np.concatenate([weight.ravel() for weight in network.get_weights()])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epochs": 0}, "number of epochs is 0. Choose a value from 1 to 1000"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"batch_size": 0}, "batch size"),
        ({"architecture": "ann", "hidden_units": ()}, "hidden layers"),
        ({"architecture": "ann", "hidden_units": (0,)}, "hidden units"),
        ({"filters": (9999,)}, "filters"),
        ({"filters": (8, 8, 8), "kernel_sizes": (3, 3)}, "number of kernel sizes is 2, that of blocks 3"),
        ({"kernel_sizes": (11,)}, "kernel size is 11"),
        ({"convolutions": 0}, "convolutions in a block is 0"),
        ({"dense_units": (0,)}, "dense units"),
        ({"padding": "reflect"}, "padding is 'reflect'. Choose one of same, valid"),
        ({"filters": (8, 8, 8), "padding": "valid"}, r"Block 3 shrinks the image of 28 x 28 to nothing"),
        ({"architecture": "ann", "hidden_units": (4096,) * 8}, "would have .* parameters. Choose fewer"),
        ({"dropout": 1.0}, "dropout is 1"),
        ({"architecture": "rnn"}, "architecture is 'rnn'. Choose one of ann, cnn"),
        ({"optimizer": "magic"}, "optimizer"),
        ({"elastic": 9.0}, "elastic bending in pixels is 9"),
        ({"label_smoothing": -0.1}, "label smoothing is -0.1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_setting_outside_its_range_is_told(change, sentence):
    with pytest.raises(InvalidConfig, match=sentence):
        check_config(dataclasses.replace(TrainConfig(), **change))


def test_what_the_architecture_does_not_read_is_not_checked():
    check_config(TrainConfig("ann", filters=(9999,), kernel_sizes=(3, 3)))
    check_config(TrainConfig("cnn", hidden_units=()))


def test_the_default_settings_are_in_range():
    check_config(TrainConfig())


@pytest.mark.parametrize(
    ("config", "published"),
    [(LENET, 44_426), (KERAS_EXAMPLE, 34_826), (TrainConfig(), None), (CNN, None), (ANN, None)],
    ids=["LeNet", "the Keras example", "default", "CNN", "ANN"],
)
def test_parameters_are_counted_as_keras_counts_them(config, published):
    parameters, _ = measure_network(config)
    assert parameters == build_network(config).count_params()
    assert published in (None, parameters)


def test_averaging_over_the_image_leaves_a_number_per_filter():
    network = build_network(dataclasses.replace(CNN, dense_units=(), global_pooling=True))
    assert network.get_layer("features").output.shape == (None, 6)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_a_schedule_stays_below_its_peak_and_above_zero(schedule):
    config = TrainConfig(schedule=schedule, learning_rate=0.01)
    rates = [learning_rate(config, step / 100) for step in range(101)]
    assert min(rates) > 0 and max(rates) <= 0.01 + 1e-12
    assert (rates[-1] < 1e-4) == (schedule != "constant")
    assert (rates[0] < 0.001) == (schedule == "one-cycle")


def test_the_events_count_up_and_the_network_learns(dataset):
    events = []
    network = train(dataclasses.replace(ANN, epochs=8, learning_rate=0.01), dataset, events.append, never)
    epochs = [event for event in events if event.kind == "epoch"]
    places = [(event.epoch, event.batch) for event in events]
    assert [event.epoch for event in epochs] == list(range(1, 9))
    assert places == sorted(places) and places[-1] == (8, 18)
    assert all(a.elapsed_s <= b.elapsed_s for a, b in itertools.pairwise(events))
    assert epochs[-1].metrics["loss"] < epochs[0].metrics["loss"]
    assert epochs[-1].metrics["val_accuracy"] > 0.3
    assert network.dtype_policy.name == "float32"


def test_an_epoch_that_is_told_is_kept(dataset):
    happened = []
    train(
        dataclasses.replace(ANN, epochs=2),
        dataset,
        lambda event: happened.append(event.kind) if event.kind == "epoch" else None,
        never,
        on_epoch=lambda checkpoint: happened.append("kept"),
    )
    assert happened == ["kept", "epoch"] * 2


def test_the_answers_are_those_on_the_first_validation_images(dataset):
    events = []
    network = train(ANN, dataset, events.append, never)
    _, _, x_validation, _ = split_validation(dataset, ANN.validation_fraction)
    expected = network(x_validation[:SAMPLE, ..., None].astype(np.float32) / 255).numpy().argmax(axis=1)
    assert np.mean(np.array(events[-1].answers) == expected) > 0.8  # half precision may answer otherwise on a border


def test_targets_are_certain_smoothed_or_even():
    targets = to_targets(np.array([3, -1, 0]), 0.1)
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(targets[0], np.where(np.arange(10) == 3, 0.91, 0.01), rtol=1e-5)
    np.testing.assert_allclose(targets[1], 0.1)
    np.testing.assert_array_equal(to_targets(np.array([7]))[0], np.eye(10)[7])


def test_what_is_no_digit_counts_in_no_accuracy():
    import_keras()
    targets = to_targets(np.array([3, -1, -1, 5]), 0.1)
    assert np.mean(accuracy(targets, to_targets(np.array([3, 0, 0, 4])))) == pytest.approx(0.5)
    assert np.mean(accuracy(targets[1:3], targets[1:3])) == 0


def test_what_is_no_digit_is_left_open(dataset):
    noise = np.random.default_rng(0).integers(0, 256, (300, 28, 28)).astype(np.uint8)
    mixed = dataclasses.replace(
        dataset,
        x_train=np.concatenate([noise[:200], dataset.x_train]),
        y_train=np.concatenate([np.full(200, -1), dataset.y_train]),
    )
    config = dataclasses.replace(ANN, epochs=8, learning_rate=0.01, augment=False)
    network = train(config, mixed, lambda event: None, never)
    confidence = network(noise[200:, ..., None] / np.float32(255)).numpy().max(axis=1)
    assert np.median(confidence) < 0.3


def test_a_teacher_is_believed_as_much_as_the_labels(dataset):
    config = dataclasses.replace(ANN, epochs=12, learning_rate=0.01, augment=False)

    def teach(images):
        """Three where there is much ink, four where there is little."""
        return np.eye(10, dtype=np.float32)[np.where(images.mean(axis=(1, 2)) > 35, 3, 4)]

    network = train(config, dataset, lambda event: None, never, teacher=teach)
    images = dataset.x_train[:300][~np.isin(dataset.y_train[:300], (3, 4))]
    said, taught = network(images[..., None] / np.float32(255)).numpy(), teach(images)
    assert said[taught == 1].mean() == pytest.approx(0.45, abs=0.12)
    assert said[:, 3:5][taught[:, 3:5] == 0].mean() < 0.2


def test_what_is_fine_tuned_begins_as_its_base_and_keeps_a_part_of_it(dataset, monkeypatch):
    config = dataclasses.replace(ANN, epochs=1)
    base = train(config, dataset, lambda event: None, never)

    def learn(share):
        monkeypatch.setattr(training, "LEARNED", share)
        return weights_of(train(config, dataset, lambda event: None, never, base=base))

    nothing, all_of_it, half = learn(0.0), learn(1.0), learn(0.5)
    assert np.array_equal(nothing, weights_of(base)) and not np.allclose(all_of_it, nothing)
    assert np.allclose(half, (nothing + all_of_it) / 2, atol=1e-4)


def test_what_is_no_digit_does_not_validate(dataset):
    mixed = dataclasses.replace(dataset, y_train=np.where(np.arange(len(dataset.y_train)) < 100, -1, dataset.y_train))
    assert len(split_validation(mixed, 0.5)[0]) == 300
    with pytest.raises(InvalidConfig, match="Choose a smaller one"):
        split_validation(mixed, 0.9)


def break_off_in_second_epoch(config, dataset, folder):
    """Train until the second epoch, as if killed there, and return what the folder keeps."""
    events = []

    def save_first(checkpoint):
        if len(checkpoint.epochs) == 1:
            save_checkpoint(checkpoint, folder)

    train(config, dataset, events.append, lambda: events[-1:] != [] and events[-1].epoch == 2, on_epoch=save_first)
    return load_checkpoint(folder)


@pytest.mark.parametrize("config", [ANN, CNN], ids=["ann", "cnn"])
def test_going_on_from_a_checkpoint_ends_in_the_same_network(dataset, config, tmp_path):
    unbroken = train(config, dataset, lambda event: None, never)
    checkpoint = break_off_in_second_epoch(config, dataset, tmp_path)
    later = []
    resumed = train(config, dataset, later.append, never, checkpoint)
    assert later[0].epoch == 2
    assert later[0].elapsed_s > checkpoint.epochs[0].elapsed_s
    np.testing.assert_allclose(weights_of(resumed), weights_of(unbroken), atol=1e-6)


def test_a_checkpoint_does_not_go_on_with_other_images(dataset, tmp_path):
    checkpoint = break_off_in_second_epoch(ANN, dataset, tmp_path)
    with pytest.raises(DataUnavailable, match=r"not those that this run began with\. Start a new run"):
        train(ANN, dataclasses.replace(dataset, sha256="other"), lambda event: None, never, checkpoint)


def test_a_training_whose_time_is_used_up_does_not_go_on(dataset, tmp_path):
    kept = []
    short = dataclasses.replace(ANN, epochs=1000, time_budget_s=1.0)
    done = train(short, dataset, lambda event: None, never, on_epoch=kept.append)
    save_checkpoint(kept[-1], tmp_path)
    later = []
    again = train(short, dataset, later.append, never, load_checkpoint(tmp_path))
    assert later == []
    np.testing.assert_array_equal(weights_of(again), weights_of(done))


def test_a_loss_that_grows_beyond_all_numbers_is_told(dataset, tmp_path):
    checkpoint = break_off_in_second_epoch(ANN, dataset, tmp_path)
    checkpoint.network.set_weights([np.full_like(weight, np.nan) for weight in checkpoint.network.get_weights()])
    with pytest.raises(InvalidConfig, match=r"learning rate of 0\.003 is too high\. Choose a smaller one"):
        train(ANN, dataset, lambda event: None, never, checkpoint)


def test_a_damaged_checkpoint_is_told(tmp_path):
    (tmp_path / "checkpoint.keras").write_bytes(b"nonsense")
    with pytest.raises(ModelUnavailable, match=r"checkpoint of run .* is damaged\. Start a new run"):
        load_checkpoint(tmp_path)


def test_a_stop_ends_the_training_in_mid_epoch(dataset):
    events = []
    train(dataclasses.replace(CNN, epochs=500), dataset, events.append, lambda: len(events) > 1)
    assert "epoch" not in [event.kind for event in events]


def test_a_time_budget_ends_the_training_with_its_learning_rate_run_down(dataset):
    events, rates = [], []
    config = dataclasses.replace(ANN, epochs=1000, time_budget_s=4.0)
    train(
        config,
        dataset,
        events.append,
        never,
        on_epoch=lambda at: rates.append(float(at.network.optimizer.learning_rate)),
    )
    assert events[-1].kind == "epoch" and events[-1].epoch < 1000
    assert rates[-1] < 0.2 * config.learning_rate
    assert events[-1].eta_s == 0


def test_early_stopping_waits_as_long_as_it_was_told(dataset):
    events = []
    blind = dataclasses.replace(ANN, epochs=100, learning_rate=1.0, optimizer="sgd", schedule="constant")
    train(dataclasses.replace(blind, early_stopping=2), dataset, events.append, never)
    losses = [event.metrics["val_loss"] for event in events if event.kind == "epoch"]
    assert len(losses) < 100
    assert len(losses) - 1 - losses.index(min(losses)) == 2


def test_a_data_set_too_small_to_split_is_told(dataset):
    tiny = dataclasses.replace(dataset, x_train=dataset.x_train[:3], y_train=dataset.y_train[:3])
    with pytest.raises(InvalidConfig, match="3 training images cannot be split"):
        train(ANN, tiny, lambda event: None, never)


def test_half_precision_leaves_weights_and_answers_in_float32():
    network = build_network(CNN, "mixed_bfloat16")
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert str(network.output.dtype) == "float32"
    assert import_keras().config.dtype_policy().name == "float32"
