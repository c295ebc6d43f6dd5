import numpy as np
import pytest

from digit_core.arrays import draw_once, load_arrays, write_arrays
from digit_core.errors import DataUnavailable, StorageFailed

SHAPES = {"images": (3, 4, 4), "others": (2, 4)}
DRAWN = {"images": np.arange(48, dtype=np.uint8).reshape(3, 4, 4), "others": np.full((2, 4), 7, np.uint8)}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "drawn.npz"


def never():
    pytest.fail("It was drawn again.")


def test_what_was_written_is_read(tmp_path):
    write_arrays(tmp_path / "a.npz", DRAWN)
    assert same(load_arrays(tmp_path / "a.npz", ("images", "others"), 10_000, ""), DRAWN)


def test_nothing_is_written_to_a_folder_that_is_gone(path):
    with pytest.raises(StorageFailed):
        write_arrays(path, DRAWN)
    assert not path.parent.exists()


def test_a_file_that_unpacks_to_more_than_allowed_is_refused(tmp_path):
    write_arrays(tmp_path / "large.npz", {"images": np.zeros(100_000, np.uint8)})
    with pytest.raises(DataUnavailable, match="more than 0 MB"):
        load_arrays(tmp_path / "large.npz", ("images",), 99_999, "Take another.")


def test_what_is_drawn_is_kept_and_not_drawn_again(path):
    assert same(draw_once(path, SHAPES, lambda: DRAWN), DRAWN)
    assert same(draw_once(path, SHAPES, never), DRAWN)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: np.savez(path, images=DRAWN["images"]),
        lambda path: np.savez(path, **DRAWN | {"images": DRAWN["images"][:2]}),
        lambda path: np.savez(path, **DRAWN | {"images": DRAWN["images"].astype(np.int64)}),
        lambda path: np.savez(path, **DRAWN | {"others": DRAWN["others"].astype(object)}),
        lambda path: np.savez(path, **DRAWN, more=np.zeros(10_000)),
    ],
    ids=["cut short", "one missing", "another shape", "another type", "pickled", "too large"],
)
def test_a_damaged_file_is_drawn_anew(path, damage):
    draw_once(path, SHAPES, lambda: DRAWN)
    damage(path)
    drawn = []
    assert same(draw_once(path, SHAPES, lambda: drawn.append(1) or DRAWN), DRAWN)
    assert drawn
    assert same(draw_once(path, SHAPES, never), DRAWN)


def test_where_it_cannot_be_kept_it_is_drawn_each_time(path):
    path.parent.write_text("a file in the folder's place")
    drawn = []
    for _ in range(2):
        assert same(draw_once(path, SHAPES, lambda: drawn.append(1) or DRAWN), DRAWN)
    assert len(drawn) == 2
    assert path.parent.is_file()
