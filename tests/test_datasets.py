import dataclasses
import gzip
import http.server
import io
import json
import threading

import numpy as np
import pytest

from digit_core import datasets
from digit_core.datasets import find_mnist, load_dataset, load_mnist, load_synthetic, read_drawings
from digit_core.errors import DataUnavailable, DigitError
from digit_core.preprocessing import preprocess
from digit_core.settings import read_settings
from digit_core.strokes import render, sketch


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


@pytest.fixture
def settings():
    return dataclasses.replace(read_settings(), mnist=None)


@pytest.fixture
def tiny_mnist(monkeypatch):
    """A stand-in for MNIST's file, with the digests that belong to it."""
    arrays = {
        "x_train": np.arange(6 * 784, dtype=np.uint8).reshape(6, 28, 28),
        "y_train": np.arange(6, dtype=np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.array([7, 2], np.uint8),
    }
    digests = {name: datasets.hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(datasets, "MNIST_SHA256", digests)
    return npz(**arrays)


@pytest.fixture
def serve(monkeypatch):
    """Serve answers, one per request, in place of the host that has MNIST."""
    answers, paths = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[min(len(paths), len(answers) - 1)]
            paths.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(datasets, "MNIST_URL", f"http://127.0.0.1:{server.server_port}/mnist.npz")
    monkeypatch.setattr(datasets.time, "sleep", lambda seconds: None)
    yield answers, paths
    server.shutdown()
    server.server_close()


def test_real_mnist_is_loaded_and_known_by_its_content(mnist):
    assert (mnist.x_train.shape, mnist.x_test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert np.bincount(mnist.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_a_file_named_in_the_settings_is_used(settings, tiny_mnist, tmp_path):
    path = tmp_path / "mine.npz"
    path.write_bytes(tiny_mnist)
    dataset = load_mnist(dataclasses.replace(settings, mnist=path))
    assert dataset.y_train.tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset.y_train.dtype == np.int64


def test_a_file_that_is_not_mnist_is_refused_with_advice(settings, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(npz(**{name: np.zeros(3, np.uint8) for name in datasets.MNIST_SHA256}))
    with pytest.raises(DataUnavailable, match=r"x_train in .* is not MNIST's. Put mnist.npz"):
        load_mnist(settings, path)


@pytest.mark.parametrize("content", [b"", b"no zip", npz(a=np.zeros(2)), npz(x_train=np.array([{}], object))])
def test_a_broken_file_is_refused_and_nothing_is_unpickled(settings, tmp_path, content):
    path = tmp_path / "mnist.npz"
    path.write_bytes(content)
    with pytest.raises(DataUnavailable, match="cannot be read"):
        load_mnist(settings, path)


def test_a_file_that_unpacks_to_gigabytes_is_refused_unopened(settings, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes(npz(x_train=np.zeros(80_000_000, np.uint8)))
    with pytest.raises(DataUnavailable, match="more than 55 MB"):
        load_mnist(settings, path)


def test_mnist_is_downloaded_once_and_kept(settings, tiny_mnist, serve):
    answers, paths = serve
    answers.append((200, tiny_mnist))
    shares = []
    first = load_mnist(settings, on_progress=shares.append)
    again = load_mnist(settings)
    assert first.sha256 == again.sha256
    assert (len(paths), shares[-1]) == (1, 1.0)
    assert find_mnist(settings) == settings.data / "mnist.npz"


def test_a_download_that_fails_is_tried_again(settings, tiny_mnist, serve):
    answers, paths = serve
    answers += [(503, b""), (200, tiny_mnist)]
    load_mnist(settings)
    assert len(paths) == 2


def test_offline_the_sentence_names_the_file_and_its_place(settings, serve):
    answers, paths = serve
    answers.append((503, b""))
    with pytest.raises(DataUnavailable, match=r"could not be downloaded.*put .*mnist.npz at .*mnist.npz"):
        load_mnist(settings)
    assert len(paths) == datasets.TRIES
    assert find_mnist(settings) is None


def test_a_download_of_something_else_is_not_kept(settings, serve):
    serve[0].append((200, b"<html>Sign in to the network</html>"))
    with pytest.raises(DataUnavailable, match=r"something else came.*at .*data.mnist\.npz"):
        load_mnist(settings)
    assert find_mnist(settings) is None
    assert list(settings.data.iterdir()) == []


def test_an_endless_download_is_cut_off(settings, serve, monkeypatch):
    monkeypatch.setattr(datasets, "DOWNLOAD_BYTES", 1000)
    serve[0].append((200, bytes(5000)))
    with pytest.raises(DataUnavailable, match="larger than MNIST"):
        load_mnist(settings)


def test_synthetic_digits_need_no_file_and_stay_the_same():
    assert load_synthetic(50, 20).sha256 == load_synthetic(50, 20).sha256


def test_synthetic_digits_train_and_test_on_different_drawings():
    dataset = load_synthetic(50, 50)
    assert not any((image == dataset.x_train).all(axis=(1, 2)).any() for image in dataset.x_test)


def test_mixed_data_ends_with_mnist_and_tests_on_it(settings, tiny_mnist, tmp_path, monkeypatch):
    path = tmp_path / "mnist.npz"
    path.write_bytes(tiny_mnist)
    monkeypatch.setattr(datasets, "load_synthetic", lambda: load_synthetic(20, 10))
    mixed = load_dataset("mnist+synthetic", dataclasses.replace(settings, mnist=path))
    assert (len(mixed.x_train), mixed.y_train[-6:].tolist()) == (26, [0, 1, 2, 3, 4, 5])
    assert mixed.y_test.tolist() == [7, 2]


def test_an_unknown_data_set_is_named(settings):
    with pytest.raises(DataUnavailable, match="'cifar'"):
        load_dataset("cifar", settings)


@pytest.mark.parametrize("packed", [False, True])
def test_stroke_lines_are_read_one_by_one(tmp_path, handwriting, packed):
    entries = [{"label": digit, "strokes": [s.tolist() for s in handwriting[digit]]} for digit in (4, 7)]
    text = "\n".join(json.dumps(entry) for entry in entries).encode()
    path = tmp_path / ("drawings.jsonl.gz" if packed else "drawings.jsonl")
    path.write_bytes(gzip.compress(text) if packed else text)
    labels, drawings = zip(*read_drawings(path), strict=True)
    assert labels == (4, 7)
    np.testing.assert_array_equal(preprocess(drawings[0]), render(handwriting[4]))


def test_a_drawing_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    path = tmp_path / "drawings.jsonl"
    path.write_text('{"label": 1, "strokes": "nonsense"}\n{"label": null, "strokes": [[[0, 0], [1, 1]]]}\n')
    (first, bad), (second, good) = read_drawings(path)
    assert first == 1 and isinstance(bad, DigitError)
    assert second is None and len(good.strokes) == 1


def test_a_blank_line_is_skipped(tmp_path):
    path = tmp_path / "drawings.jsonl"
    path.write_text('\n{"label": 1, "strokes": [[[0, 0]]]}\n\n')
    assert [label for label, _ in read_drawings(path)] == [1]


def test_a_drawing_of_a_million_points_is_refused_and_counted(tmp_path):
    path = tmp_path / "drawings.jsonl"
    path.write_text('{"label": 1, "strokes": [[' + ",".join(["[0,0]"] * 1_000_000) + "]]}\n")
    ((label, refused),) = read_drawings(path)
    assert label == 1
    assert "1,000,000 points" in str(refused)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"label": 12, "strokes": []}', '{"label": "7", "strokes": []}', "[" * 5000]
)
def test_a_line_of_another_form_is_named(tmp_path, line):
    path = tmp_path / "drawings.jsonl"
    path.write_text(line)
    with pytest.raises(DataUnavailable, match=r"line 1 is not of the form|has the label"):
        list(read_drawings(path))


def test_a_cut_off_gz_file_says_so(tmp_path):
    path = tmp_path / "drawings.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"label": 1, "strokes": []}\n' * 50)[:-9])
    with pytest.raises(DataUnavailable, match="whole"):
        list(read_drawings(path))


def test_a_folder_of_pictures_gives_its_names_as_labels(tmp_path, handwriting):
    import cv2

    (tmp_path / "3").mkdir()
    cv2.imwrite(str(tmp_path / "3" / "a.png"), 255 - sketch([s * 200 + 40 for s in handwriting[3]], 20))
    (tmp_path / "3" / "b.png").write_text("no picture")
    (first, good), (second, bad) = read_drawings(tmp_path)
    assert (first, second) == (3, 3)
    assert preprocess(good).max() > 200
    assert isinstance(bad, DigitError)


def test_an_empty_folder_says_what_to_put_into_it(tmp_path):
    with pytest.raises(DataUnavailable, match="folders named 0 to 9"):
        list(read_drawings(tmp_path))


def test_arrays_are_read_whichever_way_their_ink_is(tmp_path, handwriting):
    picture = sketch([s * 200 + 40 for s in handwriting[5]], 20)
    path = tmp_path / "pictures.npz"
    path.write_bytes(npz(x=np.array([picture, 255 - picture]), y=np.array([5, 5])))
    (_, light), (_, dark) = read_drawings(path)
    np.testing.assert_array_equal(preprocess(light), preprocess(dark))


def test_arrays_of_another_shape_are_refused(tmp_path):
    path = tmp_path / "pictures.npz"
    path.write_bytes(npz(x=np.zeros((2, 784), np.uint8), y=np.array([5, 5])))
    with pytest.raises(DataUnavailable, match=r"\(2, 784\)"):
        list(read_drawings(path))


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataUnavailable, match="is no data"):
        read_drawings(tmp_path / "digits.csv")
