"""A run's diary: what is written comes back, and what is damaged harms nothing."""

import pytest

from digit_core.diary import MAX_BATCH_EVENTS, append_event, read_changes, read_events
from digit_core.errors import StorageFailed
from digit_core.types import TrainEvent


def step(epoch, batch, kind="batch", loss=1.0):
    return TrainEvent(kind, 5.0, epoch, batch, 1000, {"loss": loss})


def write(folder, *events):
    for event in events:
        append_event(folder, event)


def test_an_event_keeps_its_values_through_the_diary(tmp_path):
    event = TrainEvent("batch", 5.0, 1, 2, 10, {"loss": 0.0, "accuracy": 1.0}, 3.5, 0.0, (1, 2, 3), "words")
    append_event(tmp_path, event)
    assert read_events(tmp_path) == [event]


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "\0",
        '{"k',
        "{" * 10_000,
        '{"kind": "batch", "time": 1}',
        '{"kind": [1], "time": 1}',
        '{"kind": "danced", "time": 1}',
        '{"kind": "started", "time": "noon"}',
        '{"kind": "started", "time": NaN}',
        f'{{"kind": "started", "time": 1{"0" * 400}}}',
        '{"kind": "started", "time": 1, "elapsed_s": "x"}',
        '{"kind": "started", "time": 1, "share": 1.5}',
        '{"kind": "started", "time": 1, "eta_s": 1e300}',
        '{"kind": "batch", "time": 1, "epoch": true, "batch": 1, "batches_per_epoch": 2}',
        '{"kind": "batch", "time": 1, "epoch": 1' + 400 * "0" + ', "batch": 1, "batches_per_epoch": 2}',
        '{"kind": "started", "time": 1, "message": "' + 20_000 * "x" + '"}',
        '{"kind": "started", "time": 1, "message": 5}',
        '{"kind": "started", "time": 1, "answers": 5}',
        '{"kind": "started", "time": 1, "answers": [77]}',
        '{"kind": "batch", "time": 1, "epoch": 0, "batch": 1, "batches_per_epoch": 2}',
        '{"kind": "batch", "time": 1, "epoch": 1, "batch": -1, "batches_per_epoch": 2}',
        '{"kind": "batch", "time": 1, "epoch": 1, "batch": 1, "batches_per_epoch": 2, "eta_s": Infinity}',
        '{"kind": "batch", "time": 1, "epoch": 1, "batch": 1, "batches_per_epoch": 2, "metrics": {"loss": "x"}}',
        '{"kind": "batch", "time": 1, "epoch": 1, "batch": 1, "batches_per_epoch": 2, "metrics": [1]}',
    ],
)
def test_a_damaged_line_is_left_out(tmp_path, line):
    append_event(tmp_path, TrainEvent("queued", 5.0))
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write(line + "\n")
    assert [event.kind for event in read_events(tmp_path)] == ["queued"]
    assert [event.kind for event in read_changes(tmp_path)] == ["queued"]


def test_what_follows_a_line_that_was_cut_short_is_told(tmp_path):
    write(tmp_path, TrainEvent("queued", 5.0))
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "batch", "time": 5, "epo')  # the disk was full, and then had some room again
    write(tmp_path, TrainEvent("failed", 6.0, message="No space left."))
    assert [event.kind for event in read_events(tmp_path)] == ["queued", "failed"]
    assert read_changes(tmp_path)[-1].message == "No space left."


def test_a_diary_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(StorageFailed, match="could not be written"):
        append_event(tmp_path, TrainEvent("queued", 5.0))
    assert (read_events(tmp_path), list(read_changes(tmp_path))) == ([], [])


def test_a_run_without_a_diary_has_told_nothing(tmp_path):
    assert (read_events(tmp_path), list(read_changes(tmp_path))) == ([], [])


def test_a_stretch_that_was_done_again_is_told_once(tmp_path):
    write(tmp_path, TrainEvent("queued", 5.0), step(1, 500), step(1, 1000), step(2, 300), step(2, 700))
    write(
        tmp_path, TrainEvent("queued", 5.0), TrainEvent("started", 5.0), step(2, 200, loss=2.0), step(2, 400, loss=2.0)
    )
    steps = [event for event in read_events(tmp_path) if event.kind == "batch"]
    assert [(event.epoch, event.batch) for event in steps] == [(1, 500), (1, 1000), (2, 200), (2, 400)]
    assert [event.metrics["loss"] for event in steps] == [1.0, 1.0, 2.0, 2.0]


def test_of_a_very_long_diary_the_epochs_and_the_end_are_kept(tmp_path):
    for epoch in range(1, 6):
        write(tmp_path, *(step(epoch, batch) for batch in range(1, 1001)), step(epoch, 1000, "epoch"))
    write(tmp_path, step(6, 17))
    events = read_events(tmp_path)
    assert len(events) < MAX_BATCH_EVENTS + 20
    assert [event.epoch for event in events if event.kind == "epoch"] == [1, 2, 3, 4, 5]
    assert (events[-1].epoch, events[-1].batch) == (6, 17)
