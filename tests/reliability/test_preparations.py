"""The rogue answers to `prepare` are refused, and the table tells what they cost."""

import json

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from fedmvp_flwr.server.admission import read_answer
from reliability.preparations import ANSWERS, rows_of

CAUGHT = {
    "text": "is not readable",
    "deep": "is not readable",
    "lie": "samples 1000000",
    "nan": "trainable nan",
    "large": "name 'xxx",
}


@pytest.fixture
def answer(in_an_app, summary):
    question = Message(RecordDict(), 7, "query.prepare")
    question.metadata.__dict__["_message_id"] = "m"
    record = ConfigRecord({"name": "node-2", "summary": json.dumps(summary)})
    return Message(RecordDict({"prepared": record}), reply_to=question)


def problem(reply):
    read = read_answer(reply)
    return read if isinstance(read, str) else None


def test_every_answer_is_tried():
    assert ANSWERS.keys() - {"raise", "kill"} == CAUGHT.keys()


@pytest.mark.parametrize("fault", CAUGHT)
def test_an_answer_is_refused(rogue, answer, fault):
    assert problem(answer) is None, "without the fault the node may take part"
    assert CAUGHT[fault] in problem(rogue.spoil_summary(fault, answer))


def test_the_answers_have_their_turn_once(rogue, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDMVP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FEDMVP_ROGUE_PREPARE", "text raise")
    assert [rogue.next_preparation() for _ in range(3)] == ["text", "raise", ""]


def history(refusals, rounds):
    def at(second, kind, **others):
        time = f"2026-01-01T00:{second // 60:02}:{second % 60:02}.000+00:00"
        return {"time": time, "event": kind, **others}

    refused = [at(60 * n, "client-refused", reason="bad", client=2) for n in range(refusals)]
    return refused + [at(60 * refusals + n, "round", clients=c) for n, c in enumerate(rounds)]


def test_each_answer_costs_the_time_until_the_next():
    *rows, last = rows_of(history(len(ANSWERS), [[0, 1], [0, 1, 2]]), "finished:stopped")
    assert len(rows) == len(ANSWERS)
    assert all(row.as_it_must_be for row in [*rows, last])
    assert rows[0].normal_after == "its next answer came after 60 s"
    assert rows[-1].normal_after == "trained along after 61 s"
    assert "2 rounds, 1 of them by the two other nodes" in last.happened


@pytest.mark.parametrize(
    ("refusals", "rounds", "status"),
    [
        (len(ANSWERS) - 1, [[0, 1, 2]], "finished:stopped"),
        (len(ANSWERS), [[0, 1]], "finished:stopped"),
        (len(ANSWERS), [[0, 1, 2]], "finished:failed"),
        (0, [], "finished:failed"),
    ],
    ids=["one was believed", "never back", "the run failed", "nothing"],
)
def test_the_table_tells_good_from_bad(refusals, rounds, status):
    rows = rows_of(history(refusals, rounds), status)
    assert not all(row.as_it_must_be for row in rows)
