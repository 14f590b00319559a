import json
import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmvp_flwr.base import jsonl
from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import JsonlSink, read_events


def written(path, *events):
    sink = JsonlSink(path)
    for event in events:
        sink.write(event)
    sink.close()
    return read_events(path)


def test_values_of_numpy_torch_and_python_become_json(tmp_path):
    (event,) = written(
        tmp_path / "m.jsonl",
        {
            "event": "round",
            "scalar": torch.tensor(1.5, requires_grad=True),
            "half": torch.tensor([0.5, 2.0], dtype=torch.bfloat16),
            "matrix": np.arange(4).reshape(2, 2),
            "integer": np.int64(7),
            "flag": np.bool_(True),
            "path": Path("a") / "b",
            "nested": {1: (np.float32(0.25), None)},
        },
    )
    del event["time"]
    assert event == {
        "event": "round",
        "scalar": 1.5,
        "half": [0.5, 2.0],
        "matrix": [[0, 1], [2, 3]],
        "integer": 7,
        "flag": True,
        "path": str(Path("a") / "b"),
        "nested": {"1": [0.25, None]},
    }


def test_numbers_that_are_not_finite_become_null(tmp_path):
    values = [math.nan, math.inf, -math.inf, np.float64("nan"), torch.tensor([1.0, math.nan])]
    (event,) = written(tmp_path / "m.jsonl", {"event": "x", "values": values})
    assert event["values"] == [None, None, None, None, [1.0, None]]


def test_every_line_carries_its_utc_time(tmp_path):
    (event,) = written(tmp_path / "m.jsonl", {"event": "x"})
    time = datetime.fromisoformat(event["time"])
    assert time.utcoffset().total_seconds() == 0


def test_an_event_is_on_disk_before_the_sink_is_closed(tmp_path):
    sink = JsonlSink(tmp_path / "m.jsonl")
    sink.write({"event": "x"})
    assert len(read_events(tmp_path / "m.jsonl")) == 1
    sink.close()
    sink.close()


def test_a_line_break_in_a_text_stays_in_its_line(tmp_path):
    path = tmp_path / "m.jsonl"
    events = written(path, {"event": "x", "reason": "one\ntwo\u2028three \ud800"}, {"event": "y"})
    assert [e["event"] for e in events] == ["x", "y"]
    assert events[0]["reason"].startswith("one\ntwo\u2028three")


def test_unknown_types_are_refused(tmp_path):
    sink = JsonlSink(tmp_path / "m.jsonl")
    with pytest.raises(TypeError, match="object"):
        sink.write({"event": "x", "value": object()})
    sink.write({"event": "y"})
    sink.close()
    assert [e["event"] for e in read_events(tmp_path / "m.jsonl")] == ["y"]


def test_a_second_sink_appends(tmp_path):
    written(tmp_path / "m.jsonl", {"event": "a"})
    assert [e["event"] for e in written(tmp_path / "m.jsonl", {"event": "b"})] == ["a", "b"]


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_torn_last_line_is_tolerated_and_cut_off_by_the_next_sink(tmp_path, size):
    path = tmp_path / "m.jsonl"
    written(path, {"event": "a"})
    with path.open("ab") as file:
        file.write('{"event": "torn", "x": "ä'.encode()[:-1] + b"x" * size)
    assert [e["event"] for e in read_events(path)] == ["a"]
    assert [e["event"] for e in written(path, {"event": "b"})] == ["a", "b"]


def test_a_file_that_is_one_torn_line_starts_anew(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"event"')
    assert [e["event"] for e in written(path, {"event": "b"})] == ["b"]


class Disk:
    """A file that takes so many bytes in pieces, and then is full, as an unbuffered one is."""

    def __init__(self, file, room, piece=1 << 20):
        self.file, self.room, self.piece = file, room, piece

    def write(self, content):
        if not self.room:
            raise OSError(28, "No space left on device")
        size = self.file.write(content[: min(self.room, self.piece)])
        self.room -= size
        return size

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()


def test_a_write_that_takes_a_part_is_gone_on_with(tmp_path):
    sink = JsonlSink(tmp_path / "m.jsonl")
    sink._file = Disk(sink._file, room=10_000, piece=7)
    for name in ("a", "b"):
        sink.write({"event": name, "text": "x" * 100})
    assert [e["event"] for e in read_events(tmp_path / "m.jsonl")] == ["a", "b"]


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "m.jsonl"
    sink = JsonlSink(path)
    sink.write({"event": "a"})
    sink._file = disk = Disk(sink._file, room=20)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            sink.write({"event": "lost"})
        assert path.read_bytes() == before
    disk.room = 10_000
    sink.write({"event": "b"})
    assert [e["event"] for e in read_events(path)] == ["a", "b"]


def test_what_could_not_be_cut_off_is_cut_off_before_the_next_line(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    sink = JsonlSink(path)
    sink.write({"event": "a"})
    sink._file = disk = Disk(sink._file, room=20)

    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(jsonl.os, "truncate", refuse)
    with pytest.raises(OSError, match="No space"):
        sink.write({"event": "lost"})
    disk.room = 10_000
    with pytest.raises(OSError, match="Input/output"):
        sink.write({"event": "lost, too"})
    assert [e["event"] for e in read_events(path)] == ["a"], "the torn line is the last one"
    monkeypatch.undo()
    sink.write({"event": "b"})
    assert [e["event"] for e in read_events(path)] == ["a", "b"]


@pytest.mark.parametrize("line", ['{"event": ', "[1, 2]", "null", "\x00\x00"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"event": "a"}) + f"\n\n{line}\n" + json.dumps({"event": "b"}))
    with pytest.raises(ReportError, match="line 3"):
        read_events(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ReportError, match=r"nothing\.jsonl"):
        read_events(tmp_path / "nothing.jsonl")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="out-dir"):
        JsonlSink(tmp_path / "file" / "m.jsonl")
