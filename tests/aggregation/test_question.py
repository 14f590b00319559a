from dataclasses import replace

import pytest
from flwr.app import Error, Message

from fedmvp_flwr.aggregation.question import Question

KEYS = {11: 1, 5: 0, 7: 2}.__getitem__


@pytest.fixture
def question(instruction):
    return Question(messages=tuple(instruction(node_id) for node_id in (11, 5, 7)))


def test_answers_and_who_is_silent(question, answer):
    replies = [answer(message, metrics={"n": 1}) for message in question.messages[:2]]
    known, silent = question.answers(replies, KEYS)
    assert known == [(1, replies[0]), (0, replies[1])]
    assert [(r.client, r.reason) for r in silent] == [(2, "no reply within the timeout")]


def test_the_error_of_a_dead_node_counts_for_that_node(question):
    reply = Message(Error(code=5, reason="node unavailable"), reply_to=question.messages[2])
    reply.metadata.__dict__["_src_node_id"] = 1  # as Flower does
    known, silent = question.answers([reply], KEYS)
    assert known == [(2, reply)]
    assert [item.client for item in silent] == [0, 1]


def test_a_second_answer_does_not_count(question, answer, log):
    first, second = (answer(question.messages[0], metrics={"n": n}) for n in (1, 2))
    known, _ = question.answers([first, second], KEYS)
    assert known == [(1, first)]
    assert "A second reply of client 1 is left out." in log()


def test_an_answer_to_nothing_counts_for_its_sender(question, answer):
    reply = answer(question.messages[0], metrics={"n": 1})
    known, _ = replace(question, messages=()).answers([reply], {11: 8}.__getitem__)
    assert known == [(8, reply)]
