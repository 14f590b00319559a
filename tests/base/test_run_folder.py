import json

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.run_folder import RunFolder


def test_an_earlier_run_is_cleared_and_the_rest_is_left(tmp_path):
    ours = (
        "metrics.jsonl",
        "result.json",
        "model.safetensors",
        "report.html",
        "probe.safetensors",
        "checkpoints/round-00003.safetensors",
        "completions/index.json",
        "completions/07-original.png",
        "completions/07-generated.png",
        "tensorboard/events.out.tfevents.1.host.2.0",
    )
    others = (
        "tensorboard/notes.txt",
        "notes.txt",
        "checkpoints/bert.safetensors",
        "completions/holiday.png",
    )
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    RunFolder(tmp_path).clear()
    left = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert left == set(others)
    RunFolder(tmp_path / "absent").clear()


def leave_run(out, status=None, rounds=2):
    """What a run leaves that came so far; without a status it was killed."""
    (out / "checkpoints").mkdir(parents=True)
    (out / "metrics.jsonl").write_text("{}\n")
    for number in range(1, rounds + 1):
        (out / "checkpoints" / f"round-{number:05d}.safetensors").write_text("x")
    if status:
        (out / "result.json").write_text(json.dumps({"status": status}))


@pytest.mark.parametrize("status", [None, "failed"])
def test_a_run_that_can_be_gone_on_with_is_not_overwritten(tmp_path, status):
    out = tmp_path / "night"
    leave_run(out, status)
    with pytest.raises(ConfigError, match=r"round-00002\.safetensors") as error:
        RunFolder(out).require_overwritable()
    for way in (
        f'resume = "{out}"',
        f"fedmvp simulate --resume {out}",
        "another out-dir",
        "remove",
    ):
        assert way in str(error.value)


@pytest.mark.parametrize("damage", ["{", "[]", "{}", "\udcff"])
def test_a_damaged_result_does_not_count_as_completed(tmp_path, damage):
    leave_run(tmp_path / "out")
    (tmp_path / "out" / "result.json").write_bytes(damage.encode("utf-8", "surrogateescape"))
    assert not RunFolder(tmp_path / "out").completed
    with pytest.raises(ConfigError):
        RunFolder(tmp_path / "out").require_overwritable()


def test_what_may_be_overwritten(tmp_path):
    leave_run(tmp_path / "done", "completed")
    leave_run(tmp_path / "before round 1", "failed", rounds=0)
    for name in ("done", "before round 1", "absent"):
        RunFolder(tmp_path / name).require_overwritable()
