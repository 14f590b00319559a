from uuid import uuid4

import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from fedmvp_flwr.aggregation.nodes import IDENTITY_MESSAGE, PARTITION_ID


@pytest.fixture(autouse=True)
def _task_identity(monkeypatch):
    """Who sends the messages: Flower sets this when it starts a ServerApp."""
    for name, value in (("_task_id", 1), ("_run_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)


def answer(message, arrays=None, metrics=None, **extra):
    """A reply with at most one record of each kind, and whatever else a test wants in it."""
    content = RecordDict()
    if arrays is not None:
        content["arrays"] = arrays
    if metrics is not None:
        content["metrics"] = MetricRecord(metrics)
    content.update(extra)
    return Message(content, reply_to=message)


class FakeGrid:
    """Nodes in memory: `clients` maps node ids to partition-ids, `behave` answers a message."""

    def __init__(self, clients, behave, shuffle=0):
        self.clients = dict(clients)
        self.behave = behave
        self.asked = []
        self._generator = torch.Generator().manual_seed(shuffle)

    def get_node_ids(self):
        ids = list(self.clients)
        return [ids[i] for i in torch.randperm(len(ids), generator=self._generator)]

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(uuid4())
            partition = self.clients[message.metadata.dst_node_id]
            kind = message.metadata.message_type
            if kind == IDENTITY_MESSAGE:
                reply = self._identity(message, partition)
            else:
                self.asked.append((kind, partition))
                reply = self.behave(message, partition)
            if reply is not None:
                replies.append(reply)
        order = torch.randperm(len(replies), generator=self._generator)
        return [replies[i] for i in order]

    def _identity(self, message, partition):
        if partition is None:
            return Message(Error(code=2, reason="no such action"), reply_to=message)
        return answer(message, identity=ConfigRecord({PARTITION_ID: partition}))

    def partitions(self, kind):
        return [partition for asked, partition in self.asked if asked == kind]


@pytest.fixture
def fake_grid():
    return FakeGrid


@pytest.fixture(name="answer")
def answer_fixture():
    return answer


@pytest.fixture
def instruction():
    def make(node_id=7, message_type="train"):
        message = Message(RecordDict({"arrays": ArrayRecord()}), node_id, message_type)
        message.metadata.__dict__["_message_id"] = str(uuid4())
        return message

    return make
