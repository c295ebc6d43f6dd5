import cv2
import numpy as np
import pytest

from digit_core.architectures import (
    STRAIGHT,
    build_network,
    import_keras,
    list_layers,
    make_reader,
    measure_network,
    tell_features,
)
from digit_core.errors import InvalidConfig
from digit_core.model_store import load_info
from digit_core.settings import read_settings
from digit_core.training import to_input
from digit_core.types import Layer, TrainConfig

LENET = TrainConfig(
    filters=(6, 16), kernel_sizes=(5,), convolutions=1, padding="valid", batch_norm=False, dense_units=(84,)
)
WIDE = TrainConfig(filters=(64,), convolutions=1)  # 12,544 features


def test_the_layers_of_a_cnn_are_counted_as_by_hand():
    assert list_layers(LENET) == [
        Layer("Convolution 5 × 5, ReLU", (24, 24, 6), 5 * 5 * 6 + 6, 5 * 5 * 6 * 24 * 24),
        Layer("Pooling 2 × 2", (12, 12, 6), 0, 0),
        Layer("Convolution 5 × 5, ReLU", (8, 8, 16), 5 * 5 * 6 * 16 + 16, 5 * 5 * 6 * 16 * 8 * 8),
        Layer("Pooling 2 × 2", (4, 4, 16), 0, 0),
        Layer("Flatten", (256,), 0, 0),
        Layer("Dense, ReLU", (84,), 256 * 84 + 84, 256 * 84),
        Layer("Dense, softmax", (10,), 84 * 10 + 10, 84 * 10),
    ]


def test_normalisation_is_a_layer_of_its_own_and_dropout_none():
    layers = list_layers(TrainConfig("ann", hidden_units=(32,), batch_norm=True, dropout=0.5))
    assert [(layer.name, layer.parameters) for layer in layers] == [
        ("Flatten", 0),
        ("Dense", 784 * 32),
        ("Batch normalisation, ReLU", 4 * 32),
        ("Dense, softmax", 32 * 10 + 10),
    ]


@pytest.mark.parametrize("model_id", ["cnn", "ann"])
def test_the_layers_have_the_parameters_that_keras_counted(model_id):
    info = load_info(model_id, read_settings())
    assert measure_network(info.config)[0] == info.parameters


def test_blocks_that_leave_nothing_of_the_image_are_told():
    with pytest.raises(InvalidConfig, match="Block 3 shrinks the image"):
        list_layers(TrainConfig(filters=(4, 4, 4), kernel_sizes=(5,), convolutions=1, padding="valid"))


@pytest.mark.parametrize(("config", "count"), [(TrainConfig("ann", hidden_units=(16,)), 16), (WIDE, 965)])
def test_features_are_at_most_a_thousand_numbers(config, count):
    network = build_network(config)
    keras = import_keras()
    told = keras.Model(network.input, tell_features(network))(np.ones((2, 28, 28, 1), np.float32))
    assert told.shape == (2, count)


def test_many_features_are_averaged_so_many_neighbours_at_a_time():
    network = build_network(WIDE)
    keras = import_keras()
    image = np.random.default_rng(0).random((1, 28, 28, 1)).astype(np.float32)
    both = keras.Model(network.input, [network.get_layer("features").output, tell_features(network)])
    features, told = (np.asarray(each)[0] for each in both(image))
    np.testing.assert_allclose(told[:964], features[: 964 * 13].reshape(964, 13).mean(axis=1), atol=1e-5)


def test_a_reader_means_what_the_network_says_of_the_image_turned_and_moved():
    network = build_network(TrainConfig("ann", hidden_units=(16,)))
    image = np.zeros((28, 28), np.uint8)
    cv2.line(image, (9, 21), (19, 6), 255, 2)
    views = STRAIGHT, (20.0, 0.0), (0.0, 2.0), (-8.0, -0.7)
    seen = []
    for degrees, shift in views:
        turn = cv2.getRotationMatrix2D((14, 14), -degrees, 1.0)  # of positive degrees OpenCV turns against the clock
        turn[:, 2] += shift
        seen.append(cv2.warpAffine(image / np.float32(255), turn, (28, 28)))
    features, probabilities = make_reader(network, views).predict(to_input(image[None]), verbose=0)
    alone = make_reader(network, (STRAIGHT,)).predict(np.array(seen)[..., None], verbose=0)
    np.testing.assert_allclose(features[0], alone[0].mean(axis=0), atol=0.01)  # OpenCV rounds to 1/32 of a pixel
    np.testing.assert_allclose(probabilities[0], alone[1].mean(axis=0), atol=0.002)
    assert np.abs(alone[1][0] - probabilities[0]).max() > 0.01
    np.testing.assert_allclose(alone[1][0], network(to_input(image[None])).numpy()[0], atol=1e-6)


def test_what_a_view_moves_out_of_the_image_does_not_come_in_elsewhere():
    network = build_network(TrainConfig("ann", hidden_units=(16,)))
    image, empty = np.zeros((2, 1, 28, 28), np.uint8)
    image[0, :, -1] = 255
    away = make_reader(network, ((0.0, 1.0),))
    np.testing.assert_allclose(*(away.predict(to_input(each), verbose=0)[1] for each in (image, empty)), atol=1e-6)
