import base64
import dataclasses
import gzip
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digit_core import pen_digits
from digit_core.drawings import read_drawings
from digit_core.errors import DataUnavailable
from digit_core.pen_digits import digest, download_pen_digits, find_pen_digits, read_unipen
from digit_core.settings import read_settings

# A seven and a four as UNIPEN text, packed by `compress`.
PACKED = (
    "H52QIFxYKSJlSpInTkDEcAFDgQskSQgGkTIESRYQRJIcSULF4ZQiR5oUcUIFo0aOIGCA+AFCxA0RDoc8aSKSJIgbCmWAkCGDhkMiJWPAaOgCysgvRJ5c"
    "caJA4VAQNIY2jYFDZdSGCqPulFr0aBUoP4Ny/RhyZMmMG4O20MlSBA2YLmTSNAsVxAyFNxwadYJUKdOcVmVgFapyhtSthbnu/fJV79GkS6feCDx4ssKq"
    "jvk2Bg=="
)
SEVEN = {"label": 7, "writer": "train-12", "strokes": [[[100, 100], [180, 100], [140, 300]]]}
FOUR = {"label": 4, "writer": "train-03", "strokes": [[[120, 80], [100, 200], [200, 200]], [[170, 80], [170, 320]]]}


def archive(content, name=pen_digits.MEMBER):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def settings():
    settings = dataclasses.replace(read_settings(), pen_digits=None)
    settings.data.mkdir(parents=True)
    return settings


@pytest.fixture
def arrive(monkeypatch, settings):
    """Let an archive lie where a download would put it."""
    monkeypatch.setattr(pen_digits, "SHA256", digest([SEVEN, FOUR]))

    def fetch(url, target, most_bytes, read, on_progress, otherwise):
        return read(target)

    monkeypatch.setattr(pen_digits, "fetch", fetch)
    return (settings.data / pen_digits.ARCHIVE).write_bytes


def test_the_archive_is_unpacked_into_lines_of_strokes(settings, arrive):
    arrive(archive(base64.b64decode(PACKED)))
    path = download_pen_digits(settings, lambda share: None)
    with gzip.open(path, "rt") as file:
        assert [json.loads(line) for line in file] == [SEVEN, FOUR]
    assert find_pen_digits(settings) == path
    assert [label for label, _ in read_drawings(path)] == [7, 4]


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", archive(b"no such text"), archive(base64.b64decode(PACKED)[:60]), archive(b"", "other.txt")],
    ids=["nothing", "a page", "not packed", "cut off", "another file"],
)
def test_something_else_is_refused(settings, arrive, content):
    arrive(content)
    with pytest.raises(DataUnavailable, match="the UCI Pen Digits"):
        download_pen_digits(settings, lambda share: None)
    assert find_pen_digits(settings) is None


def test_other_digits_are_refused(settings, arrive, monkeypatch):
    monkeypatch.setattr(pen_digits, "SHA256", digest([SEVEN]))
    arrive(archive(base64.b64decode(PACKED)))
    with pytest.raises(DataUnavailable, match="does not hold the UCI Pen Digits"):
        download_pen_digits(settings, lambda share: None)


def test_a_file_named_in_the_settings_comes_first(settings, tmp_path):
    (settings.data / pen_digits.STROKES).write_bytes(b"")
    mine = dataclasses.replace(settings, pen_digits=tmp_path / "mine")
    assert find_pen_digits(mine) is None
    (tmp_path / "mine").write_bytes(b"")
    assert find_pen_digits(mine) == tmp_path / "mine"


def test_a_digest_does_not_depend_on_the_place_on_the_tablet():
    moved = SEVEN | {"strokes": [[[x + 5, y - 9] for x, y in stroke] for stroke in SEVEN["strokes"]]}
    turned = SEVEN | {"strokes": [[[x, -y] for x, y in stroke] for stroke in SEVEN["strokes"]]}
    assert digest([SEVEN]) == digest([moved]) != digest([turned])
    assert digest([SEVEN]) != digest([SEVEN | {"label": 1}])


@given(st.lists(st.text(alphabet='. "0179ABCDEGIMNOPSTUWR_\t', max_size=40)))
def test_text_of_any_kind_is_read_or_refused(lines):
    try:
        drawings = list(read_unipen(lines))
    except ValueError:
        return
    assert all(drawing["label"] >= 0 for drawing in drawings)


def test_the_digest_is_that_of_the_real_digits():
    path = read_settings().pen_digits
    if path is None:
        pytest.skip("Set DIGIT_LAB_PEN_DIGITS to the original strokes: they are too many to be committed.")
    with gzip.open(path, "rt") as file:
        assert digest(json.loads(line) for line in file) == pen_digits.SHA256
