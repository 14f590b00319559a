import io

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord

from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.replies import check_evaluations, check_replies
from fedmvp_flwr.aggregation.wire import pack


def passes(client, metrics):
    """A check that refuses nothing."""


def state(value=1.0):
    return {"w": torch.full((2, 3), value), "count": torch.tensor(4)}


@pytest.fixture
def reference():
    return pack(state(0.0), "fp16")


@pytest.fixture
def reply(answer, instruction):
    """A good reply, but for what a test says."""

    def make(arrays=None, metrics=None, **extra):
        arrays = pack(state(), "fp16") if arrays is None else arrays
        metrics = {"num-examples": 5, "loss": 0.5} if metrics is None else metrics
        return answer(instruction(), arrays or None, metrics or None, **extra)

    return make


def with_array(array):
    record = pack(state(), "fp16")
    record["w"] = array
    return record


def numpy_bytes(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def test_good_replies_pass_ordered_by_client(reply, reference):
    valid, rejected = check_replies(
        [(c, reply()) for c in (4, 0, 2)], reference, "num-examples", passes
    )
    assert [r.client for r in valid] == [0, 2, 4]
    assert rejected == []
    assert valid[0].num_examples == 5.0
    assert torch.equal(valid[0].tensors["w"], torch.ones(2, 3))
    assert valid[0].tensors["count"].dtype == torch.int64


def test_the_type_on_the_wire_may_differ(reply, reference):
    arrays = [pack(state(), wire) for wire in ("fp16", "bf16", "fp32")]
    replies = [(c, reply(a)) for c, a in enumerate(arrays)]
    valid, rejected = check_replies(replies, reference, "num-examples", passes)
    assert len(valid) == 3
    assert rejected == []


def test_arrays_may_come_in_a_parcel(reply, reference):
    good, other = wrap(pack(state(), "fp16")), wrap(pack({"w": torch.ones(2, 3)}, "fp16"))
    valid, rejected = check_replies(
        [(0, reply(good)), (1, reply(other))], reference, "num-examples", passes
    )
    assert [r.client for r in valid] == [0]
    assert torch.equal(valid[0].tensors["w"], torch.ones(2, 3))
    assert valid[0].bytes == good.count_bytes()
    assert valid[0].record.keys() == state().keys()
    assert "missing arrays ['count']" in rejected[0].reason


def test_a_parcel_may_hold_a_wider_type_but_not_much_more(reply, reference):
    wide = wrap(pack(state(), "fp32"))
    huge = wrap(pack({**state(), "more": torch.zeros(10_000)}, "fp16"))
    valid, rejected = check_replies(
        [(0, reply(wide)), (1, reply(huge))], reference, "num-examples", passes
    )
    assert [r.client for r in valid] == [0]
    assert "bytes unpacked" in rejected[0].reason


BAD_ARRAYS = {
    "nan": (Array(np.full((2, 3), np.nan, np.float16)), "not finite"),
    "infinite": (Array(np.full((2, 3), np.inf, np.float16)), "not finite"),
    "wrong shape": (Array(np.ones((3, 2), np.float16)), "shape"),
    "flattened": (Array(np.ones(6, np.float16)), "shape"),
    "0-d": (Array(np.ones((), np.float16)), "shape"),
    "integers": (Array(np.ones((2, 3), np.int64)), "int64"),
    "complex": (Array(np.ones((2, 3), np.complex64)), "complex"),
    "texts": (Array(np.full((2, 3), "a")), "cannot be read"),
    "garbage": (Array("float16", (2, 3), "numpy.ndarray", b"garbage"), "cannot be read"),
    "archive": (Array("float16", (2, 3), "numpy.ndarray", b"PK\x03\x04"), "cannot be read"),
    "nothing": (Array("float16", (2, 3), "numpy.ndarray", b""), "cannot be read"),
    "too large for float16": (Array(np.full((2, 3), 1e30, np.float32)), "too large"),
    "damaged header": (
        Array(
            "float16",
            (2, 3),
            "numpy.ndarray",
            numpy_bytes(np.ones((2, 3), np.float16)).replace(b"}", b"("),
        ),
        "cannot be read",
    ),
    "claims another shape": (
        Array("float16", (2, 3), "numpy.ndarray", numpy_bytes(np.ones((9, 9)))),
        "(9, 9)",
    ),
    "too short for bf16": (Array("bfloat16", (2, 3), "fedmvp.bfloat16", b"12"), "cannot be read"),
    "unknown format": (Array("float16", (2, 3), "someone.else", b"12"), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_bad_arrays_are_rejected_by_name_and_the_others_stay(reply, reference, name):
    array, reason = BAD_ARRAYS[name]
    replies = [(1, reply(with_array(array))), (0, reply()), (2, reply())]
    valid, rejected = check_replies(replies, reference, "num-examples", passes)
    assert [r.client for r in valid] == [0, 2]
    assert [r.client for r in rejected] == [1]
    assert "'w'" in rejected[0].reason
    assert reason in rejected[0].reason


def test_a_complex_counter_is_no_integer(reply, reference):
    record = pack(state(), "fp16")
    record["count"] = Array(np.array(4 + 1j))
    valid, rejected = check_replies([(0, reply(record))], reference, "num-examples", passes)
    assert not valid
    assert "complex" in rejected[0].reason


def test_missing_and_unknown_arrays_are_named(reply, reference):
    record = pack({"w": torch.ones(2, 3), "extra": torch.ones(1)}, "fp16")
    valid, rejected = check_replies([(3, reply(record))], reference, "num-examples", passes)
    assert not valid
    assert "missing arrays ['count'], unknown arrays ['extra']" in rejected[0].reason


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [({"num-examples": 0, "loss": 0.5}, "metric"), ({"num-examples": 5}, "other metrics")],
    ids=str,
)
def test_metrics_that_cannot_be_used_reject_their_reply(reply, reference, metrics, reason):
    replies = [(0, reply(metrics=metrics)), (1, reply()), (2, reply())]
    for valid, rejected in (
        check_replies(replies, reference, "num-examples", passes),
        check_evaluations(replies, "num-examples", passes),
    ):
        assert len(valid) == 2
        assert [r.client for r in rejected] == [0]
        assert reason in rejected[0].reason


def test_whatever_the_check_of_a_reply_raises_rejects_that_reply(reply, reference, monkeypatch):
    def unreadable(record, most):
        if "poison" in record:
            raise RuntimeError("deep in a library " + "x" * 10_000)
        return record

    monkeypatch.setattr("fedmvp_flwr.aggregation.replies.unwrap", unreadable)
    poison = pack({"poison": torch.ones(1)}, "fp16")
    valid, rejected = check_replies(
        [(0, reply(poison)), (1, reply())], reference, "num-examples", passes
    )
    assert [r.client for r in valid] == [1]
    assert rejected[0].reason.startswith("RuntimeError: deep in a library")
    assert len(rejected[0].reason) < 600


def test_a_number_that_a_counter_cannot_hold_is_rejected(reply):
    reference = pack({**state(), "count": torch.tensor(0, dtype=torch.int32)}, "fp16")
    wide = pack({**state(), "count": torch.tensor(2**40)}, "fp16")
    valid, rejected = check_replies(
        [(0, reply(wide)), (1, reply())], reference, "num-examples", passes
    )
    assert [r.client for r in valid] == [1]
    assert "'count' has values too large for torch.int32" in rejected[0].reason


def test_a_check_refuses_by_client_and_metrics(reply, reference, instruction):
    def check(client, metrics):
        if client == 1:
            return "too good " + "x" * 10_000
        return "no loss" if metrics["loss"] > 1 else None  # a KeyError for client 3

    error = Message(Error(code=2, reason="boom"), reply_to=instruction())
    replies = [
        (2, reply(metrics={"num-examples": 1, "loss": 2.0})),
        (3, reply(metrics={"num-examples": 1})),
        (4, error),
        (0, reply()),
        (1, reply()),
    ]
    valid, rejected = check_replies(replies, reference, "num-examples", check)
    evaluated, refused = check_evaluations(replies, "num-examples", check)
    assert [r.client for r in valid] == [0]
    assert len(evaluated) == 1
    for found in (rejected, refused):
        assert [r.client for r in found] == [1, 2, 3, 4]
        assert found[0].reason.startswith("too good")
        assert len(found[0].reason) < 600
        assert found[1].reason == "no loss"
        assert found[2].reason == "KeyError: 'loss'"


def test_what_a_check_refuses_has_no_say_in_what_is_usual(reply, reference):
    other = {"num-examples": 5, "odd": 1.0}
    replies = [(0, reply()), *((c, reply(metrics=other)) for c in (1, 2))]
    valid, _ = check_replies(
        replies, reference, "num-examples", lambda _, m: "odd" if "odd" in m else None
    )
    assert [r.client for r in valid] == [0]


def test_an_error_is_rejected_with_its_reason(reply, reference, instruction):
    error = Message(Error(code=2, reason="out of memory"), reply_to=instruction())
    valid, rejected = check_replies([(5, error), (1, reply())], reference, "num-examples", passes)
    assert [r.client for r in valid] == [1]
    assert "out of memory" in rejected[0].reason
    assert check_evaluations([(5, error)], "num-examples", passes)[1][0].client == 5


def test_exactly_one_record_of_each_kind(reply, answer, instruction, reference):
    metrics = MetricRecord({"num-examples": 5})
    replies = [
        (0, answer(instruction(), None, {"num-examples": 5})),
        (1, answer(instruction(), pack(state(), "fp16"))),
        (2, reply(second=pack(state(), "fp16"))),
        (3, reply(second=metrics)),
        (4, answer(instruction())),
    ]
    valid, rejected = check_replies(replies, reference, "num-examples", passes)
    assert not valid
    assert [r.client for r in rejected] == [0, 1, 2, 3, 4]


def test_no_reply_at_all(reference):
    assert check_replies([], reference, "num-examples", passes) == ([], [])
    assert check_evaluations([], "num-examples", passes) == ([], [])


def test_empty_global_model(answer, instruction):
    message = answer(instruction(), ArrayRecord(), {"num-examples": 1})
    valid, rejected = check_replies([(0, message)], ArrayRecord(), "num-examples", passes)
    assert len(valid) == 1
    assert not rejected


def test_evaluations_come_ordered_by_client(reply):
    messages = {c: reply(metrics={"num-examples": c + 1}) for c in (2, 0, 1)}
    valid, _ = check_evaluations(messages.items(), "num-examples", passes)
    assert [m.content["metrics"]["num-examples"] for m in valid] == [1, 2, 3]
