import base64
import csv
import gzip
import io
import json
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from entries import NOON, PICTURE, STROKES, image_of, say
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from digit_core import feedback_import as import_module
from digit_core.cli import main
from digit_core.drawings import read_drawings
from digit_core.errors import DataUnavailable, FeedbackUnavailable
from digit_core.feedback import FeedbackStore
from digit_core.feedback_export import FORMATS, export_feedback
from digit_core.feedback_import import import_feedback
from digit_core.selection import ALL, Selection
from digit_core.settings import read_settings
from digit_core.types import Drawing, Feedback


@pytest.fixture
def stores(tmp_path):
    """A store with entries of all kinds, and an empty one."""
    full, empty = (FeedbackStore(f"sqlite:///{tmp_path / name}.sqlite3") for name in ("full", "empty"))
    full.add_all(
        [
            say(7, 1, 7, visitor="Zoë", comment='a "seven",\nbarred ✍'),
            say(None, 3, minute=1, drawing=Drawing(image=PICTURE), input_kind="upload", source="api"),
            say(5, minute=2, image=image_of(99), reviewed_at=NOON, created_at=NOON.replace(microsecond=123456)),
            say(None, 4, minute=3, judged=False),
            say(2, 2, minute=4, deleted_at=NOON),
        ]
    )
    with closing(full), closing(empty):
        yield full, empty


def export(store: FeedbackStore, file: Path, which: Selection = ALL) -> Path:
    form = next(form for form in FORMATS if file.name.endswith(form))
    with file.open("wb") as content:
        export_feedback(store, content, form, which)
    return file


def test_what_is_exported_and_imported_is_exported_the_same_again(stores, tmp_path):
    full, empty = stores
    file = export(full, tmp_path / "one.jsonl.gz")
    done = import_feedback(empty, file)
    assert (done.added, done.known, done.left_out) == (3, 0, 0)
    assert export(empty, tmp_path / "two.jsonl.gz").read_bytes() == file.read_bytes()
    for entry in full.list():
        got = empty.get(entry.id)
        assert [stroke.tobytes() for stroke in got.drawing.strokes] == [s.tobytes() for s in entry.drawing.strokes]
        assert np.array_equal(got.image, entry.image)
        for name in set(vars(entry)) - {"drawing", "image"}:
            assert getattr(got, name) == getattr(entry, name), name
    assert np.array_equal(empty.list(which=Selection(input_kinds=("upload",)))[0].drawing.image, PICTURE)


def test_an_import_counts_once_what_is_known(stores, tmp_path):
    full, _ = stores
    done = import_feedback(full, export(full, tmp_path / "one.jsonl.gz"))
    assert (done.added, done.known) == (0, 3)


@settings(max_examples=20)
@given(
    st.lists(
        st.lists(st.tuples(*[st.floats(-1e9, 1e9, allow_nan=False)] * 2), min_size=1, max_size=5),
        min_size=1,
        max_size=3,
    ),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60),
)
def test_any_strokes_and_words_come_back_to_the_last_bit(tmp_path_factory, strokes, words, name):
    folder = tmp_path_factory.mktemp("any")
    drawing = Drawing(tuple(np.array(stroke, np.float64) for stroke in strokes))
    with (
        closing(FeedbackStore(f"sqlite:///{folder / 'one.sqlite3'}")) as one,
        closing(FeedbackStore(f"sqlite:///{folder / 'two.sqlite3'}")) as two,
    ):
        one.add(said := say(7, 1, drawing=drawing, comment=words, visitor=name or None))
        import_feedback(two, export(one, folder / "one.jsonl.gz"))
        got = two.get(said.id)
    assert [stroke.tobytes() for stroke in got.drawing.strokes] == [stroke.tobytes() for stroke in drawing.strokes]
    assert (got.comment, got.visitor) == (words, name or None)


def test_an_export_holds_what_is_selected(stores, tmp_path):
    full, _ = stores
    table = pd.read_csv(export(full, tmp_path / "none.csv", Selection(true_digits=(None,))))
    assert len(table) == 1 and table.input_kind[0] == "upload"
    assert len(pd.read_csv(export(full, tmp_path / "deleted.csv", Selection(deleted=True)))) == 1


def test_a_csv_opens_in_pandas(stores, tmp_path):
    table = pd.read_csv(export(stores[0], tmp_path / "table.csv")).set_index("label").sort_index()
    assert table.loc[7, ["model", "digit", "right", "visitor"]].tolist() == ["ann", 1, False, "Zoë"]
    assert table.comment[7] == 'a "seven",\nbarred ✍' and pd.isna(table.model[5])
    assert [answer["digit"] for answer in json.loads(table.answers[7])] == [1, 7]


def test_what_a_spreadsheet_would_take_for_a_formula_is_text_in_a_csv(stores, tmp_path):
    stores[1].add(say(7, comment="=cmd|' /C calc'!A0", visitor="@SUM(1)"))
    with export(stores[1], tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["comment"], row["visitor"]) == ("'=cmd|' /C calc'!A0", "'@SUM(1)")


def test_arrays_have_the_shape_of_mnist_and_hold_digits_only(stores, tmp_path):
    file = export(stores[0], tmp_path / "arrays.npz")
    arrays = np.load(file)
    assert (arrays["x"].shape, arrays["x"].dtype) == ((2, 28, 28), np.uint8)
    assert arrays["y"].tolist() == [5, 7] == [label for label, _ in read_drawings(file)], "the newest first"


def test_arrays_of_nothing_are_empty(stores, tmp_path):
    assert np.load(export(stores[1], tmp_path / "arrays.npz"))["x"].shape == (0, 28, 28)


def test_pngs_open_in_an_image_viewer_from_a_folder_for_each_label(stores, tmp_path):
    full, empty = stores
    file = export(full, tmp_path / "pictures.zip")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        sizes = {name.split("/")[0]: Image.open(io.BytesIO(archive.read(name))).size for name in names}
    assert sizes == {"7": (280, 280), "5": (280, 280), "none": PICTURE.shape[::-1]}
    assert import_feedback(empty, file).added == 2 and {e.true_digit for e in empty.list()} == {5, 7}


def test_an_exported_file_can_be_measured_with(stores, tmp_path):
    drawn = list(read_drawings(export(stores[0], tmp_path / "one.jsonl.gz")))
    assert [label for label, _ in drawn] == [None, 5, 7]
    assert all(isinstance(drawing, Drawing) for _, drawing in drawn)


def lines(*values: object) -> bytes:
    return "\n".join(value if isinstance(value, str) else json.dumps(value) for value in values).encode()


GOOD = {"label": 1, "strokes": [[[0, 0], [0, 9]]]}
GOOD_ANSWER = {"model_id": "cnn", "sha256": "", "digit": 1, "confidence": 0.5}


def write_folder(folder: Path, *digits: int) -> Path:
    for place, digit in enumerate(digits):
        picture = np.zeros((60, 60), np.uint8)
        cv2.line(picture, (20 + place, 10), (35, 50), 255, 5)
        (folder / str(digit)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / str(digit) / f"{place}.png"), picture)
    return folder


def test_a_folder_of_pictures_is_collected_once(stores, tmp_path):
    folder = write_folder(tmp_path / "drawn", 1, 1, 7)
    empty = stores[1]
    assert [import_feedback(empty, folder).added for _ in range(2)] == [3, 0]
    entries = empty.list()
    assert sorted(entry.true_digit for entry in entries) == [1, 1, 7]
    assert {(entry.input_kind, entry.source, entry.answers) for entry in entries} == {("import", "import", ())}
    assert empty.stats().collected == 3


def test_a_strokes_file_is_collected_and_what_is_blank_left_out(stores, tmp_path):
    file = tmp_path / "strokes.jsonl"
    file.write_bytes(lines(GOOD, GOOD | {"label": None}, {"label": 2, "strokes": []}))
    done = import_feedback(stores[1], file)
    assert (done.added, done.left_out, done.reasons[0][:7]) == (2, 1, "Line 3:")
    assert {entry.true_digit for entry in stores[1].list()} == {1, None}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.jsonl", lines(GOOD, "no json"), r"line 2 is not of the form .* Imported before that: 1\."),
        ("a.jsonl", b'{"label": 1, "comment": "caf\xe9", "strokes": []}', "line 1 is not of the form"),
        ("a.jsonl.gz", b"no gzip", r"cannot be read.* Nothing of it was imported"),
        ("a.jsonl.gz", gzip.compress(lines(GOOD), mtime=0)[:-9], "Check that the file is whole"),
        ("a.zip", b"no zip", "Check that the file is whole"),
        ("a.npz", b"no arrays", "cannot be read"),
        ("a.txt", b"text", "is no data"),
    ],
)
def test_a_file_of_no_known_form_is_told(stores, tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataUnavailable, match=sentence):
        import_feedback(stores[1], tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"label": 11}, "is 11. Give 0 to 9"),
        ({"label": "7"}, "is '7'"),
        ({"label": [7]}, "Give 0 to 9"),
        ({"comment": "x" * 1001}, "comment has 1,001 characters"),
        ({"visitor": "x" * 61}, "nickname has 61 characters"),
        ({"comment": None}, "no entry as"),
        ({"id": "seven"}, "is no UUID"),
        ({"created_at": "yesterday"}, "no entry as"),
        ({"created_at": "2026-03-01T12:00:00"}, "no time zone"),
        ({"created_at": "0001-01-01T00:00:00+14:00"}, "no entry as"),
        ({"created_at": 7}, "no entry as"),
        ({"input_kind": "telepathy"}, "no entry as"),
        ({"source": "<script>"}, "no entry as"),
        ({"judged": 1}, "no entry as"),
        ({"image": "?"}, "no entry as"),
        ({"image": None}, "no entry as"),
        ({"image": base64.b64encode(b"no picture").decode()}, "no grey PNG"),
        ({"strokes": [[[0, 1e300]]]}, "not a finite number"),
        ({"strokes": {}}, "must be a list"),
        ({"strokes": [], "picture": None}, "neither strokes nor a picture"),
        ({"answers": [{"model_id": "cnn", "sha256": "", "digit": 11, "confidence": 0.5}]}, "is 11"),
        ({"answers": [{"model_id": "cnn", "sha256": "", "digit": 1, "confidence": 5}]}, "confidence is 5.0"),
        ({"answers": [{"model_id": "cnn", "sha256": "\ud800", "digit": 1, "confidence": 0.5}]}, "SHA-256 of a model"),
        ({"answers": [dict(GOOD_ANSWER, model_id=f"m{n}") for n in range(21)]}, "21 answers"),
        ({"visitor": "a\x1b[31m"}, "cannot be seen"),
        ({"answers": [{"model_id": 3, "sha256": "", "digit": 1, "confidence": 0.5}]}, "no entry as"),
        ({"answers": 7}, "no entry as"),
    ],
)
def test_an_entry_that_cannot_be_is_left_out_and_told(stores, tmp_path, changes, reason):
    full, empty = stores
    with gzip.open(export(full, tmp_path / "one.jsonl.gz", Selection(visitor="Zoë"))) as file:
        (entry,) = map(json.loads, file)
    broken = tmp_path / "broken.jsonl"
    broken.write_bytes(lines(entry | changes, GOOD))
    done = import_feedback(empty, broken)
    assert (done.added, done.left_out) == (1, 1) and reason in done.reasons[0]


def test_a_zip_bomb_is_refused_unread(stores, tmp_path):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("7/seven.png", "w") as big:
        for _ in range(30):
            big.write(bytes(10**6))
    done = import_feedback(stores[1], bomb)
    assert done.added == 0 and "Send at most 5 MB" in done.reasons[0]


def test_a_zip_of_too_many_pictures_is_refused(stores, tmp_path, monkeypatch):
    monkeypatch.setattr("digit_core.drawings.ZIP_PICTURES", 2)
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(3):
            archive.writestr(f"7/{number}.png", b"")
    with pytest.raises(DataUnavailable, match="more than 2 pictures"):
        import_feedback(stores[1], many)


def test_names_in_a_zip_are_only_names(stores, tmp_path):
    folder = write_folder(tmp_path / "drawn", 7)
    odd = tmp_path / "odd.zip"
    with zipfile.ZipFile(odd, "w") as archive:
        for name in ("mine/7/<script>alert(1)<script>.png", "../../3/x.png", "__MACOSX/7/._x.png", "7/.hidden.png"):
            archive.write(folder / "7" / "0.png", name)
    before = set(tmp_path.rglob("*"))
    done = import_feedback(stores[1], odd)
    assert {entry.true_digit for entry in stores[1].list()} == {7, 3} and done.left_out == 0
    assert {path for path in tmp_path.rglob("*") if "sqlite3" not in path.name} == {
        path for path in before if "sqlite3" not in path.name
    }


def test_few_reasons_are_told_of_many(stores, tmp_path):
    file = tmp_path / "blank.jsonl"
    file.write_bytes(lines(*[{"label": 1, "strokes": []}] * 30))
    done = import_feedback(stores[1], file)
    assert (done.left_out, len(done.reasons)) == (30, import_module.REASONS)


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run `feedback` on the store that the settings name, which holds two entries."""
    url = f"sqlite:///{tmp_path / 'command.sqlite3'}"
    monkeypatch.setenv("DIGIT_LAB_DATABASE_URL", url)
    with closing(FeedbackStore(url)) as store:
        store.add_all([say(7, 1, 7, visitor="Zoë"), replace(say(3, 3), drawing=Drawing(STROKES))])
    return lambda *words: CliRunner().invoke(main, ["feedback", *words])


def test_the_command_lists_what_is_asked_for(command):
    assert [len(command("list", *words).stdout.splitlines()) for words in ([], ["--verdict", "wrong"])] == [2, 1]
    line = command("list", "--digit", "7").stdout
    assert "  7  ann 1 (30 %), cnn 7 (30 %)  Zoë" in line
    entry = json.loads(command("list", "--visitor", "Zoë", "--json").stdout)
    assert (entry["label"], [answer["digit"] for answer in entry["answers"]]) == (7, [1, 7])
    assert command("list", "--since", "2026-03-02").stdout == ""
    assert command("list", "--digit", "11").exit_code == 2


def test_the_command_counts(command):
    assert command("stats").stdout.startswith("2 judged, 50.0 % right; 0 collected\n")
    counts = json.loads(command("stats", "--json").stdout)
    assert (counts["total"], counts["correct"], counts["by_digit"]["7"]) == (2, 1, {"total": 1, "correct": 0})
    assert counts["confusions"] == [{"true": 7, "predicted": 1, "count": 1}]


@pytest.mark.parametrize("form", FORMATS)
def test_the_command_exports_each_form_and_leaves_nothing_half_written(command, tmp_path, form):
    before = set(tmp_path.iterdir())
    done = command("export", str(tmp_path / f"out.{form}"))
    assert (done.exit_code, done.stdout) == (0, f"2 entries in {tmp_path / f'out.{form}'}\n"), done.stderr
    assert {path.name for path in set(tmp_path.iterdir()) - before} == {f"out.{form}"}


def test_the_command_tells_what_it_cannot_write(command, tmp_path):
    assert command("export", str(tmp_path / "out.xlsx")).exit_code == 2
    done = command("export", str(tmp_path / "nowhere" / "out.csv"))
    assert done.exit_code == 1 and "could not be written" in done.stderr


def test_the_command_imports(command, tmp_path):
    file = tmp_path / "strokes.jsonl"
    file.write_bytes(lines(GOOD, {"label": 2, "strokes": []}))
    done = command("import", str(file))
    assert (done.exit_code, done.stdout) == (0, "1 entries added, 1 left out\n") and "Line 2: " in done.stderr
    assert command("import", str(file)).stdout == "0 entries added, 1 known already, 1 left out\n"
    assert command("import", str(tmp_path / "missing.jsonl")).exit_code == 1


def test_a_drawing_without_a_label_is_not_taken_for_no_digit(stores, tmp_path):
    file = tmp_path / "unlabelled.jsonl"
    file.write_bytes(lines({"digit": 7, "strokes": [[[0, 0], [0, 9]]]}))
    done = import_feedback(stores[1], file)
    assert done.added == 0 and 'There is no "label"' in done.reasons[0]


def test_a_picture_far_larger_than_any_that_is_kept_is_refused(stores, tmp_path):
    full, empty = stores
    with gzip.open(export(full, tmp_path / "one.jsonl.gz", Selection(true_digits=(None,)))) as file:
        (entry,) = map(json.loads, file)
    big = cv2.imencode(".png", np.zeros((2000, 2000), np.uint8))[1].tobytes()
    for name in ("picture", "image"):
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(lines(entry | {name: base64.b64encode(big).decode()}))
        done = import_feedback(empty, file)
        assert done.added == 0 and "(2000, 2000) pixels. Send at most" in done.reasons[0]


def test_a_file_of_endless_blank_lines_is_refused(stores, tmp_path):
    file = tmp_path / "blank.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n" * 10**6))
    with pytest.raises(DataUnavailable, match="mostly blank"):
        import_feedback(stores[1], file)


def test_a_file_that_unpacks_to_too_much_is_refused(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module, "MOST_BYTES", 1000)
    file = tmp_path / "large.jsonl.gz"
    file.write_bytes(gzip.compress(lines(*[GOOD] * 100)))
    with pytest.raises(DataUnavailable, match="too large"):
        import_feedback(stores[1], file)


def test_what_was_deleted_is_exported_when_it_is_asked_for(command, tmp_path):
    file = tmp_path / "deleted.jsonl.gz"
    with closing(FeedbackStore(read_settings().database_url)) as store:
        store.delete(store.list(1)[0])
    for words, entries in (([], 1), (["--deleted"], 1)):
        done = command("export", str(file), *words, "--json").stdout
        assert json.loads(done) == {"file": str(file), "entries": entries}
    assert json.loads(gzip.decompress(file.read_bytes()))["deleted_at"]


def test_a_file_of_nothing_that_can_be_used_is_given_up(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module, "MOST_LEFT_OUT", 250)
    (tmp_path / "wrong.jsonl").write_bytes(b"{}\n" * 1000)
    told: list[int] = []
    with pytest.raises(DataUnavailable, match=r"More than 250 entries cannot be used\. Line 1: There is no"):
        import_feedback(stores[1], tmp_path / "wrong.jsonl", told.append)
    assert told[:2] == [100, 200]


def test_an_import_that_the_database_stops_tells_how_much_is_in(stores, tmp_path, monkeypatch):
    (tmp_path / "many.jsonl").write_bytes(lines(*(GOOD | {"label": label} for label in range(10))))
    monkeypatch.setattr(import_module, "CHUNK", 4)
    add, calls = stores[1].add_all, iter((True, False))

    def stop(entries: list[Feedback]) -> int:
        if next(calls):
            return add(entries)
        raise FeedbackUnavailable("It has no room left.")

    monkeypatch.setattr(stores[1], "add_all", stop)
    with pytest.raises(FeedbackUnavailable, match=r"no room left\. Imported before that: 4\. Import it again"):
        import_feedback(stores[1], tmp_path / "many.jsonl")


@pytest.mark.parametrize("words", [["--visitor", "\udcff"], ["--model", "a\0b"], ["--visitor", "x" * 61]])
def test_a_name_that_nobody_can_have_is_told(command, words):
    done = command("list", *words)
    assert done.exit_code == 1 and "Error: The" in done.stderr


def test_the_commands_answer_in_json(command, tmp_path):
    file = tmp_path / "strokes.jsonl"
    file.write_bytes(lines(GOOD, {"label": 2, "strokes": []}))
    done = json.loads(command("import", str(file), "--json").stdout)
    assert (done["added"], done["known"], done["left_out"]) == (1, 0, 1) and "Line 2" in done["reasons"][0]


@pytest.mark.parametrize("words", [["--verdict", "wrong"], ["--deleted"]])
def test_statistics_of_one_verdict_or_of_what_was_deleted_are_refused(command, words):
    done = command("stats", *words)
    assert done.exit_code == 2 and "What was judged and is there is counted" in done.stderr
