"""What one node does wrong in which round of a run, and what the run's events say of it."""

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

from reliability.fault_table import Row

_NODES = {0, 1, 2}
_ROGUE_KEY = 2

PLAN = {
    "nan": "an array of NaN",
    "garbage": "random bytes in the place of the arrays",
    "huge": "an array of 50 MB in the place of a small one",
    "bomb": "50 kB that unpack to 50 MB",
    "claim": "an array whose header claims 10^12 values",
    "keys": "an array is missing",
    "weight": "a negative number of examples",
    "overflow": "a float32 value that float16 cannot hold",
    "header": "arrays without a parcel, one with a damaged header",
    "raise": "the ClientApp raises an error",
    "kill": "the ClientApp's process is killed with SIGKILL",
    "damaged-prepared": "the node's prepared features are damaged",
    "damaged-store": "prepared features and feature store are damaged",
    "late": "the reply comes after the timeout",
}
HARMLESS = ("damaged-prepared", "damaged-store")
TWICE = "twice"  # in a run of its own: the round may wait until Flower gives the reply up
TWICE_NAME = "the SuperNode announces its reply twice"
ROUND_OF = {fault: 2 * i + 1 for i, fault in enumerate(PLAN)}
"""In every second round; nothing is done to the rounds between."""
ROUNDS = 2 * len(PLAN) + 2  # the late reply costs the next round as well
EVALUATED = 8  # every so many rounds: they come between the faults of trainings
SPOILT = 8  # the round whose evaluation the node spoils


def second_answer(cache: Path) -> str:
    """What the SuperLink answered to the second of two equal replies; empty: none was sent."""
    path = cache / "sent-twice"
    return f"HTTP {path.read_text(encoding='utf-8')}" if path.is_file() else ""


def row_of_twice(rounds: list[dict[str, Any]], answer: str) -> Row:
    """The line of a reply that is announced twice, in the first round: it counts at most once.

    Flower may also give it up, with a named error; the node is back in the next round then.

    Args:
        rounds: the events of all rounds of the run.
        answer: to the second one; empty if none was sent.
    """
    first = next((event for event in rounds if event["round"] == 1), None)
    if first is not None and sorted(first["clients"]) == sorted(_NODES):
        normal = f"in this round ({first['seconds']['train']:.0f} s)"
        row = Row(TWICE_NAME, "counted once", "0", normal)
    else:
        row = row_of(TWICE, rounds, TWICE_NAME, 1)
    row.happened += f"; the second one was answered with {answer}"
    row.as_it_must_be &= bool(answer)
    return row


def row_of(
    fault: str, rounds: list[dict[str, Any]], name: str = "", number: int | None = None
) -> Row:
    """The line of one misbehaviour.

    Args:
        fault: key of `PLAN`.
        rounds: the events of all rounds of the run.
        name: of the fault; default: that in `PLAN`.
        number: of its round; default: that in `ROUND_OF`.
    """
    name, number = name or PLAN[fault], number or ROUND_OF[fault]
    later = [event for event in rounds if event["round"] >= number]
    if not later or later[0]["round"] != number:
        return Row(name, "the round was not finished", "1", "", False)
    event, *later = later
    rejected = {item["client"]: item["reason"] for item in event["rejected"]}
    clients, seconds = set(event["clients"]), event["seconds"]["train"]
    lost = "0" if len(clients) >= len(_NODES) - 1 else "1"
    if fault in HARMLESS:
        good = clients == _NODES
        happened = "computed again, the node took part" if good else f"left out: {rejected}"
        return Row(name, happened, lost, f"in this round ({seconds:.0f} s)", good)
    happened = f"left out and named: {rejected.get(_ROGUE_KEY, 'no, it took part')}"
    good = clients == _NODES - {_ROGUE_KEY} and _ROGUE_KEY in rejected
    without = [event, *itertools.takewhile(lambda e: set(e["clients"]) != _NODES, later)]
    whole = later[len(without) - 1 :]
    if not whole:
        return Row(name, happened, lost, "never in this run", False)
    waited = (moment(whole[0]) - moment(event)).total_seconds()
    lost += f" ({len(without)} without its reply)"
    normal = f"{waited:.0f} s after this round, which took {seconds:.0f} s"
    return Row(name, happened, lost, normal, good)


def row_of_evaluation(found: list[dict[str, Any]]) -> Row:
    """The line of the evaluation that the node spoils; the next one must count it again."""
    name = "an accuracy of 7 in an evaluation"
    rejected = [event for event in found if event["event"] == "evaluation-rejected"]
    scored = [
        event
        for event in found
        if (event["event"], event.get("where")) == ("evaluation", "clients")
    ]
    spoilt = next((e for e in rejected if e["round"] == SPOILT), None)
    counted = next((e for e in scored if e["round"] == SPOILT), None)
    later = next((e for e in scored if e["round"] > SPOILT), None)
    if spoilt is None or counted is None or later is None:
        return Row(name, "not left out, or no evaluation without it", "0", "", False)
    reasons = {item["client"]: item["reason"] for item in spoilt["rejected"]}
    good = reasons.keys() == {_ROGUE_KEY} and all(e["round"] != later["round"] for e in rejected)
    waited = (moment(later) - moment(counted)).total_seconds()
    normal = f"the next evaluation, {waited:.0f} s later"
    happened = f"left out and named: {reasons.get(_ROGUE_KEY, 'no, it took part')}"
    return Row(name, happened, "0", normal, good)


def moment(event: dict[str, Any]) -> datetime:
    """When something happened."""
    return datetime.fromisoformat(event["time"])
