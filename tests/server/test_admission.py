import json

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.protocol.summary import read_summary
from fedmvp_flwr.server import admission as module
from fedmvp_flwr.server.admission import Admission, misfit, read_answer

SUMMARY = {
    "samples": 3,
    "complete": 1,
    "trainable": 3,
    "labels": [1, 2],
    "real": {"image": [0, 1], "text": [1, 2]},
    "completions": {
        "image": {"made": 1, "reused": 0, "rejected": 0},
        "text": {"made": 2, "reused": 1, "rejected": 1},
    },
    "gate-threshold": 0.5,
    "seconds": {"features": 0.1},
    "widths": {},
    "partition-id": 0,
    "held-out": 0,
    "missing": {},
    "models": {},
    "hashes": {"split": "a", "mask": "b", "keys": "c"},
}


class Grid:
    """Nodes in memory that answer when a test lets them."""

    key = "partition-id"

    def __init__(self, behave):
        self.behave = dict(behave)  # node id -> (key, answer); an answer of None: silence
        self.asked = []
        self._waiting = {}

    def get_node_ids(self):
        return list(self.behave)

    def push_messages(self, messages):
        ids = []
        for message in messages:
            node_id = message.metadata.dst_node_id
            name = f"m{len(self.asked)}"
            message.metadata.__dict__["_message_id"] = name
            self.asked.append(node_id)
            self._waiting[name] = message
            ids.append(None if self.behave[node_id] == "gone" else name)
        return ids

    def pull_messages(self, ids):
        replies = []
        for name in list(ids):
            message = self._waiting[name]
            key, answer = self.behave[message.metadata.dst_node_id]
            if answer is None:
                continue
            if isinstance(answer, Error):
                reply = Message(answer, reply_to=message)
            else:
                record = ConfigRecord({self.key: key} | answer)
                reply = Message(RecordDict({"prepared": record}), reply_to=message)
            replies.append(reply)
            del self._waiting[name]
        return replies


class Named(Grid):
    """The same, of nodes that tell a name."""

    key = "name"


def ready(**extra):
    return {"summary": json.dumps(SUMMARY | extra)}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "_POLL", 0.01)


@pytest.fixture
def make():
    def build(check=lambda summary: None):
        told = {"ready": [], "refused": []}

        def tell(event, values):
            if event == "client":
                told["ready"].append(values)
            else:
                assert event == "client-refused"
                told["refused"].append((values["client"], values["reason"]))

        return Admission(NodeRegistry(), RecordDict(), check, tell), told

    return build


def start(admission, grid, minimum=0, timeout=5.0):
    admission.ask(grid, grid.get_node_ids())
    return admission.wait(grid, minimum, timeout)


def test_summaries_come_ordered_by_key(make):
    admission, told = make()
    grid = Grid({77: (2, ready()), 5: (0, ready()), 60: (1, ready())})
    summaries = start(admission, grid)
    assert [summary.partition_id for summary in summaries] == [0, 1, 2]
    assert [summary["partition-id"] for summary in told["ready"]] == [0, 1, 2]
    assert admission.admit(grid, [60, 5]) == [60, 5]


BAD = {
    "refusal": ({"problem": "no pair"}, "no pair"),
    "error": (Error(2, "boom"), "boom"),
    "garbage": ({"summary": "{"}, "not readable"),
    "no summary": ({"x": 1}, "not readable"),
    "no object": ({"summary": "[1]"}, "does not fit"),
    "silence": (None, "not ready within"),
}


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_node_holds_up_nobody_where_enough_are_ready(make, bad):
    answer, reason = BAD[bad]
    admission, told = make()
    grid = Grid({1: (0, ready()), 2: (1, answer), 3: (2, ready())})
    assert len(start(admission, grid, minimum=2, timeout=0.1)) == 2
    assert admission.admit(grid, [1, 2, 3]) == [1, 3]
    if bad != "silence":
        assert reason in told["refused"][0][1]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize("minimum", [0, 3])
def test_too_few_ready_nodes_are_an_error_that_names_the_others(make, bad, minimum):
    answer, reason = BAD[bad]
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: (1, answer), 3: (2, ready())})
    with pytest.raises(DataError, match=rf"Not every client is ready: 2 of 3.*{reason}"):
        start(admission, grid, minimum, timeout=0.1)


def test_what_does_not_fit_is_refused(make):
    admission, told = make(check=lambda s: "too wide" if s.widths["image"] > [4] else None)
    grid = Grid(
        {
            1: (0, ready(widths={"image": [4]})),
            2: (1, ready(widths={"image": [9]})),
            3: (2, ready(widths={"image": [4]})),
        }
    )
    assert len(start(admission, grid, minimum=2)) == 2
    assert told["refused"] == [(1, "too wide")]


def test_a_node_that_comes_later_takes_part_once_it_is_ready(make):
    admission, told = make()
    grid = Grid({1: (0, ready()), 2: (1, ready())})
    start(admission, grid)
    grid.behave[3] = (2, None)
    assert admission.admit(grid, [1, 2, 3]) == [1, 2]
    assert grid.asked == [1, 2, 3]
    grid.behave[3] = (2, ready())
    assert admission.admit(grid, [1, 2, 3]) == [1, 2, 3]
    assert [summary["partition-id"] for summary in told["ready"]] == [0, 1, 2]


def test_a_node_with_a_new_registration_is_the_same_node(make):
    grid = Named({11: ("a", ready()), 22: ("b", ready())})
    admission, told = make()
    assert [s.partition_id for s in start(admission, grid)] == [0, 1]
    grid.behave[33] = grid.behave.pop(22)  # registered again, with another key
    admission.admit(grid, [11, 33])
    assert admission.admit(grid, [11, 33]) == [11, 33]
    assert [s.partition_id for s in admission.ready()] == [0, 1]
    assert [s["partition-id"] for s in told["ready"]] == [0, 1, 1]


def test_a_name_is_not_given_twice_while_its_node_is_there(make):
    grid = Named({11: ("a", ready()), 22: ("b", ready())})
    admission, _ = make()
    start(admission, grid)
    grid.behave[33] = ("b", ready())
    admission.admit(grid, [11, 22, 33])
    assert admission.admit(grid, [11, 22, 33]) == [11, 22, 33]
    assert [s.partition_id for s in admission.ready()] == [0, 1, 33]


def test_one_that_arrives_while_the_others_prepare_is_waited_for(make):
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: (1, None)})
    admission.ask(grid, [1])
    grid.behave[2] = (1, None)
    admission.ask(grid, [2])
    grid.behave[2] = (1, ready())
    grid.behave[3] = (2, ready())
    assert len(admission.wait(grid, 0, 5.0)) >= 2


def test_a_refused_node_is_asked_again_later_and_not_at_once(make, monkeypatch):
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: (1, {"problem": "disk full"}), 3: (2, ready())})
    start(admission, grid, minimum=2)
    admission.admit(grid, [1, 2, 3])
    assert grid.asked == [1, 2, 3]
    grid.behave[2] = (1, ready())
    monkeypatch.setattr(module, "_ASK_AGAIN", 0.0)
    admission.admit(grid, [1, 2, 3])
    assert admission.admit(grid, [1, 2, 3]) == [1, 2, 3]
    assert grid.asked == [1, 2, 3, 2]
    assert admission.refused == {}


def test_a_node_that_is_gone_before_it_is_asked(make):
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: "gone", 3: (2, ready())})
    assert len(start(admission, grid, minimum=2)) == 2


def test_a_long_reason_is_cut(make):
    admission, _ = make()
    grid = Grid({1: (0, {"problem": "x" * 10**6}), 2: (1, ready())})
    with pytest.raises(DataError):
        start(admission, grid)
    assert len(admission.refused[1]) <= 500


@pytest.mark.parametrize(
    "change",
    [
        *({key: None} for key in SUMMARY),
        {"labels": ["many"]},
        {"completions": {"image": {"made": "all"}}},
        {"completions": {"image": 3}},
        {"hashes": {"split": "a"}},
        {"seconds": {}},
    ],
    ids=str,
)
def test_a_summary_of_another_form_is_refused(make, change):
    admission, told = make()
    grid = Grid({1: (0, ready()), 2: (1, ready(**change)), 3: (2, ready())})
    assert len(start(admission, grid, minimum=2)) == 2
    assert "another version" in told["refused"][0][1]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SUMMARY | {"gate-threshold": float("nan")}),
        json.dumps(SUMMARY | {"gate-threshold": int("9" * 400)}),
        json.dumps(SUMMARY | {"samples": -1}),
        json.dumps(SUMMARY | {"labels": [float("inf")]}),
        json.dumps(SUMMARY | {"seconds": {"features": float("nan")}}),
        "[" * 100_000,
        "9" * 10_000,
    ],
    ids=lambda text: text[-60:],
)
def test_a_summary_that_cannot_be_true_refuses_its_node_alone(make, text):
    admission, told = make()
    grid = Grid({1: (0, ready()), 2: (1, {"summary": text}), 3: (2, ready())})
    assert len(start(admission, grid, minimum=2)) == 2
    assert [key for key, _ in told["refused"]] == [1]


def test_what_was_told_at_admission_is_known_by_key(make):
    admission, told = make()
    grid = Grid({7: (0, ready()), 5: (1, ready(trainable=2, more="of another program"))})
    start(admission, grid)
    assert [admission.told(key).trainable for key in (0, 1)] == [3, 2]
    assert admission.told(9) is None
    assert all("more" not in summary for summary in told["ready"])


def test_named_nodes_are_numbered_by_name_whoever_answers_first(make):
    admission, _ = make()
    grid = Grid({9: ("x", None), 5: ("y", ready()), 7: ("z", ready())})
    admission.ask(grid, [9, 5, 7])
    grid.behave = {
        node_id: (0, {"partition-id": "no", "name": name} | ready())
        for node_id, name in ((9, "a"), (5, "c"), (7, "b"))
    }
    admission.wait(grid, 0, 5.0)
    assert [admission.nodes.key(node_id) for node_id in (9, 7, 5)] == [0, 1, 2]


def test_a_summary_is_read(instruction):
    reply = Message(RecordDict({"prepared": ConfigRecord(ready())}), reply_to=instruction())
    assert read_answer(reply) == read_summary(SUMMARY)


UNREACHABLE = Error(5, "no heartbeat")


def test_nodes_that_come_back_are_waited_for(make, monkeypatch):
    monkeypatch.setattr(module, "_ASK_LOST_AGAIN", 0.05)
    admission, told = make()
    grid = Grid({1: (0, ready()), 2: (1, UNREACHABLE), 3: (2, UNREACHABLE)})
    pull, times = grid.pull_messages, []

    def pull_and_recover(ids):
        times.append(1)
        if len(times) == 4:  # the SuperLink has heard of node 3 again
            grid.behave[3] = (2, ready())
        return pull(ids)

    grid.pull_messages = pull_and_recover
    assert [s.partition_id for s in start(admission, grid, minimum=2)] == [0, 2]
    assert told["refused"] == []
    assert grid.asked.count(3) >= 2


@pytest.mark.parametrize("minimum", [0, 2])
def test_nodes_that_stay_lost_are_named(make, monkeypatch, minimum):
    monkeypatch.setattr(module, "_ASK_LOST_AGAIN", 0.05)
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: (1, UNREACHABLE)})
    with pytest.raises(DataError, match=r"1 of 2.*client 2: it could not be reached"):
        start(admission, grid, minimum, timeout=0.3)


def test_a_lost_node_that_is_not_needed_holds_up_nobody(make):
    admission, _ = make()
    grid = Grid({1: (0, ready()), 2: (1, UNREACHABLE), 3: (2, ready())})
    assert len(start(admission, grid, minimum=2)) == 2


def models(image="a" * 64, text="t"):
    return {"image-encoder": {"fingerprint": image}, "text-encoder": {"fingerprint": text}}


@pytest.fixture
def fits(summary):
    def tried(**changes):
        told = read_summary(summary | {"models": models()} | changes)
        return misfit(told, summary["widths"], models(), 3)

    return tried


def test_a_node_like_the_server_fits(fits):
    assert fits() is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"models": models("b" * 64)}, "another image-encoder (bbbbbbbbbbbb, here aaaaaaaaaaaa)"),
        ({"models": models("b", "u")}, "another image-encoder (b, here aaaaaaaaaaaa) and another"),
        ({"models": models(text="u")}, "another text-encoder (u, here t)"),
        ({"widths": {"image": [8, 4], "text": [8, 5]}}, "its frozen encoders are others"),
        (
            {"labels": [1, 2], "real": {"image": [0, 1], "text": [1, 2]}},
            "it knows 2 classes, this run has 3",
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_said(fits, changes, reason):
    assert reason in fits(**changes)
