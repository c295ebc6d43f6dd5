"""Labelled files -> drawings: every form, and what is wrong in them."""

import gzip
import io
import json

import numpy as np
import pytest
from images import encode

from digit_core.drawings import read_drawings
from digit_core.errors import DataUnavailable, DigitError
from digit_core.preprocessing import preprocess
from digit_core.strokes import render, sketch


def npz(**arrays):
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


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


def test_a_link_that_leads_out_of_a_folder_is_not_followed(tmp_path, drawn):
    (tmp_path / "private.png").write_bytes(encode(drawn))
    folder = tmp_path / "drawings" / "7"
    folder.mkdir(parents=True)
    (folder / "own.png").write_bytes(encode(drawn))
    (folder / "inner.png").symlink_to("own.png")
    (folder / "leading out.png").symlink_to(tmp_path / "private.png")
    (_, inner), (_, refused), (_, own) = read_drawings(tmp_path / "drawings")
    assert isinstance(refused, DigitError) and "leads out" in str(refused)
    assert inner.image.shape == own.image.shape == drawn.shape


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
