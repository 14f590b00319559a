"""What the rogue node of the fault table does to its reply is wrong, and is caught."""

import pytest
import torch
from flwr.app import Message, MetricRecord, RecordDict

from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.replies import check_replies
from fedmvp_flwr.aggregation.wire import pack
from reliability.faults import last_reason
from reliability.misbehaviour import (
    HARMLESS,
    PLAN,
    ROUND_OF,
    row_of,
    row_of_evaluation,
    row_of_twice,
    second_answer,
)

CAUGHT = {
    "nan": "not finite",
    "garbage": "cannot be read",
    "huge": "bytes unpacked",
    "bomb": "bytes unpacked",
    "claim": "cannot be read",
    "keys": "missing arrays",
    "weight": "must be positive",
    "overflow": "too large for torch.float16",
    "header": "cannot be read",
}


@pytest.fixture
def reply(in_an_app):
    question = Message(RecordDict(), 7, "train")
    question.metadata.__dict__["_message_id"] = "m"
    arrays = wrap(pack(state(), "fp16"))
    metrics = MetricRecord({"num-examples": 3, "total": 0.5})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=question)


def anything(client, metrics):
    """No metric is wrong."""


def state():
    return {"a": torch.ones(2, 3), "b": torch.zeros(4)}


def test_every_fault_of_a_reply_is_tried():
    of_replies = PLAN.keys() - {"raise", "kill", "late", *HARMLESS}
    assert of_replies == CAUGHT.keys()


@pytest.mark.parametrize("fault", CAUGHT)
def test_a_fault_is_caught(rogue, reply, fault):
    reference = pack(state(), "fp16")
    valid, _ = check_replies([(2, reply)], reference, "num-examples", anything)
    assert len(valid) == 1, "without the fault the reply is valid"
    broken = rogue.act(fault, None, reply)
    valid, rejected = check_replies([(2, broken)], reference, "num-examples", anything)
    assert valid == []
    assert rejected[0].client == 2
    assert CAUGHT[fault] in rejected[0].reason


def event(number, clients, rejected=(), second=0):
    return {
        "time": f"2026-01-01T00:00:{second:02}.000+00:00",
        "round": number,
        "seconds": {"train": 12.0},
        "clients": clients,
        "rejected": [{"client": c, "reason": "bad"} for c in rejected],
    }


def test_every_fault_is_followed_by_a_round_in_peace():
    assert sorted(ROUND_OF.values()) == list(range(1, 2 * len(PLAN), 2))


def test_the_table_tells_good_from_bad():
    after = event(4, [0, 1, 2])
    third, first = ROUND_OF["garbage"], ROUND_OF["nan"]
    assert row_of("garbage", [event(third, [0, 1], [2]), after]).as_it_must_be
    assert not row_of("garbage", [event(third, [0, 1, 2]), after]).as_it_must_be, "not noticed"
    assert not row_of("garbage", [event(third, [1, 2], [0]), after]).as_it_must_be, "wrong node"
    assert not row_of("garbage", [event(first, [0, 1], [2]), after]).as_it_must_be, "no round"
    assert not row_of("garbage", []).as_it_must_be
    assert not row_of("garbage", [event(third, [0, 1], [2])]).as_it_must_be, "it never came back"
    harmless = ROUND_OF["damaged-store"]
    assert row_of("damaged-store", [event(harmless, [0, 1, 2])]).as_it_must_be
    assert not row_of("damaged-store", [event(harmless, [0, 1], [2])]).as_it_must_be


def test_what_a_fault_costs_is_counted_in_the_rounds_after_it():
    first = ROUND_OF["nan"]
    found = [
        event(first, [0, 1], [2], second=10),
        event(first + 1, [0, 1], [2], second=20),
        event(first + 2, [0, 1, 2], second=33),
    ]
    row = row_of("nan", found)
    assert row.rounds_lost == "0 (2 without its reply)"
    assert row.normal_after == "23 s after this round, which took 12 s"
    alone = row_of("nan", [event(first, [0], [1, 2]), event(first + 1, [0, 1, 2])])
    assert alone.rounds_lost.startswith("1")


def test_a_reply_that_is_announced_twice():
    found = [event(1, [0, 1], [2]), event(2, [0, 1, 2])]
    good = row_of_twice(found, "HTTP 200")
    assert good.as_it_must_be
    assert good.happened.endswith("answered with HTTP 200")
    assert good.rounds_lost == "0 (1 without its reply)"
    assert not row_of_twice(found, "").as_it_must_be, "no second one was sent"
    once = row_of_twice([event(1, [0, 1, 2])], "HTTP 200")
    assert once.as_it_must_be
    assert once.happened.startswith("counted once")
    assert not row_of_twice([event(1, [0, 1, 2])], "").as_it_must_be, "no second one was sent"
    twice = [event(1, [0, 1, 2, 2]), event(2, [0, 1, 2])]
    assert not row_of_twice(twice, "HTTP 200").as_it_must_be, "counted twice"
    assert not row_of_twice(found[:1], "HTTP 200").as_it_must_be, "never normal again"


def evaluations(*rejected):
    def at(number, kind, **others):
        time = f"2026-01-01T00:00:{number:02}.000+00:00"
        return {"time": time, "event": kind, "round": number, **others}

    events = []
    for number in (8, 16):
        clients = [{"client": c, "reason": "bad"} for n, c in rejected if n == number]
        if clients:
            events.append(at(number, "evaluation-rejected", rejected=clients))
        events.append(at(number, "evaluation", where="clients"))
    return events


def test_a_spoilt_evaluation_is_left_out_and_the_next_one_counts():
    row = row_of_evaluation(evaluations((8, 2)))
    assert row.as_it_must_be
    assert row.normal_after == "the next evaluation, 8 s later"
    assert not row_of_evaluation(evaluations()).as_it_must_be, "not noticed"
    assert not row_of_evaluation(evaluations((8, 1))).as_it_must_be, "wrong node"
    assert not row_of_evaluation(evaluations((8, 2), (16, 2))).as_it_must_be, "never normal"
    assert not row_of_evaluation([]).as_it_must_be


def test_scores_are_spoilt(rogue, reply):
    scores = MetricRecord({"accuracy.complete": 0.5, "loss": 0.25, "num-examples": 3})
    reply.content.metric_records["metrics"] = scores
    spoilt = rogue.spoil_scores(reply).content.metric_records["metrics"]
    assert dict(spoilt) == {"accuracy.complete": 7.0, "loss": 0.25, "num-examples": 3}


def test_a_node_sends_twice_once_the_flag_is_there(rogue, tmp_path, monkeypatch):
    import httpx

    seen = []

    def send(client, request, **options):
        seen.append(request.url.path)
        return httpx.Response(200)

    monkeypatch.setattr(httpx.Client, "send", send)
    rogue.install_twice(str(tmp_path))
    push = "https://link/v1/fleet/push-messages"
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path))
    with httpx.Client() as client:
        client.post(push)
        rogue.before("twice")
        client.post("https://link/v1/fleet/pull-messages")
        client.post(push)
        client.post(push)
    assert [path.rsplit("/", 1)[1] for path in seen] == [
        "push-messages",
        "pull-messages",
        "push-messages",
        "push-messages",
        "push-messages",
    ]
    assert second_answer(tmp_path) == "HTTP 200"
    assert second_answer(tmp_path / "other") == ""


def test_a_log_tells_why_without_its_colours():
    log = "\x1b[92mINFO\x1b[0m: starting\n\x1b[91mERROR\x1b[0m: refused [code: 2004]\nbye\n"
    assert last_reason(log) == "ERROR: refused [code: 2004]"
    assert last_reason("one\ntwo\n") == "two"
    assert last_reason("") == "nothing"
