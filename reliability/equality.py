"""An interrupted run on real nodes against one that nobody interrupts: the same bits in the end?"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from reliability.federation import Federation, events
from reliability.flora import settings
from reliability.kills import going, resumptions, round_events
from reliability.outcome import completed, newest_checkpoint, read_result
from reliability.processes import wait_for

_ROUNDS = 4
_TIMEOUT = 600.0
_ALL = 3  # nodes, in each round of both runs: with others it would be another training
_CHANCE_OF_THE_CLOCK = ("time", "seconds", "bytes")


def interrupted(federation: Federation, folders: list[Path]) -> tuple[dict[str, Any], list[str]]:
    """Run whole, then once more with a SuperLink that is killed; return a record, what is wrong."""
    out, reference = federation.root / "out", federation.root / "reference"
    config = settings(
        federation.root,
        folders,
        num_server_rounds=_ROUNDS,
        evaluate_every=2,
        min_nodes=_ALL,
        min_replies=_ALL,
        round_retries=20,
    )
    whole = federation.submit(config | {"out-dir": str(reference)})
    status = federation.wait(whole, reference)
    problems = completed(status, read_result(reference), reference, _ROUNDS)

    federation.submit(config)
    going(out, "the checkpoint of round 2", lambda: newest_checkpoint(out) >= _ROUNDS // 2)
    federation.superlink.kill(restart=False)
    killed_at = time.monotonic()
    federation.start_superlink()
    second = federation.submit(config | {"resume": str(out)})
    wait_for("the resumption", lambda: resumptions(out), _TIMEOUT)
    status = federation.wait(second, out)
    problems += completed(status, read_result(out), out, _ROUNDS)
    problems += differences(out, reference)
    return {
        "resumed after": resumptions(out),
        "clients by round": {e["round"]: e["clients"] for e in round_events(out)},
        "seconds from the kill to the end": round(time.monotonic() - killed_at, 1),
        "status": status,
    }, problems


def differences(out: Path, reference: Path) -> list[str]:
    """What two runs do not have in common: arrays to the bit, and each number of the history."""
    problems = []
    mine, other = (load_file(folder / "model.safetensors") for folder in (out, reference))
    if mine.keys() != other.keys():
        problems.append("the models have other arrays")
    problems += [
        f"array '{name}' has other bits"
        for name in sorted(mine.keys() & other.keys())
        if not same_bits(mine[name], other[name])
    ]
    histories = [numbers(folder) for folder in (out, reference)]
    if histories[0] != histories[1]:
        problems.append(f"the histories differ: {histories[0]} and {histories[1]}")
    return problems


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two arrays are the same, also where they are not numbers."""
    if (left.dtype, left.shape) != (right.dtype, right.shape):
        return False
    mine, other = (array.flatten().contiguous().view(torch.uint8) for array in (left, right))
    return torch.equal(mine, other)


def numbers(out: Path) -> list[dict[str, Any]]:
    """Rounds and evaluations of a history, without what the clock and the network decide."""
    return [without(e) for e in events(out) if e.get("event") in ("round", "evaluation")]


def without(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event without what differs between any two runs."""
    return {key: value for key, value in event.items() if key not in _CHANCE_OF_THE_CLOCK}
