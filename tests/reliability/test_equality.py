"""Whether two runs count as the same."""

import json

import pytest
import torch
from safetensors.torch import save_file

from reliability.equality import differences


def write_run(folder, values=(1.0, float("nan")), loss=0.5, seconds=3.0):
    folder.mkdir()
    save_file({"a": torch.tensor(values), "b": torch.tensor(2.0)}, folder / "model.safetensors")
    events = [
        {"event": "round", "time": str(seconds), "round": 1, "seconds": seconds, "loss": loss},
        {"event": "run-resume", "after-round": 1, "time": str(seconds)},
        {"event": "evaluation", "round": 1, "scores": {"accuracy": loss}, "bytes": seconds},
    ]
    text = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "metrics.jsonl").write_text(text)
    return folder


@pytest.fixture
def reference(tmp_path):
    return write_run(tmp_path / "reference")


def test_time_and_interruptions_do_not_count(tmp_path, reference):
    assert differences(write_run(tmp_path / "out", seconds=9.0), reference) == []


def test_other_bits_are_named(tmp_path, reference):
    other = write_run(tmp_path / "out", values=(1.0000001, float("nan")))
    assert differences(other, reference) == ["array 'a' has other bits"]
    whole = write_run(tmp_path / "shape", values=(1.0,))
    assert differences(whole, reference) == ["array 'a' has other bits"]


def test_minus_zero_is_another_bit(tmp_path):
    plus, minus = (write_run(tmp_path / str(v), values=(v, 1.0)) for v in (0.0, -0.0))
    assert differences(plus, minus) == ["array 'a' has other bits"]


def test_another_history_is_noticed(tmp_path, reference):
    (problem,) = differences(write_run(tmp_path / "out", loss=0.4), reference)
    assert problem.startswith("the histories differ")
