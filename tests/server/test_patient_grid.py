import httpx
import pytest
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedmvp_flwr.server import patient_grid as module
from fedmvp_flwr.server.patient_grid import PatientGrid

REQUEST = httpx.Request("POST", "https://localhost/v1/runtime/pull-messages")


def status_error(code):
    return httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(code))


class Shaky(Grid):
    """Fails as often as told before each answer."""

    def __init__(self, error=None, failures=0):
        self.error, self.failures = error, failures
        self.calls, self.left, self.sent = 0, failures, []

    def _maybe_fail(self):
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        self.left = self.failures

    def set_run(self, run):
        self.given = run

    @property
    def run(self):
        return "run"

    def create_message(self, *args, **kwargs):
        return args

    def get_node_ids(self):
        self._maybe_fail()
        return [3, 4]

    def push_messages(self, messages):
        self._maybe_fail()
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"m{message.metadata.dst_node_id}"
            self.sent.append(message)
        return [message.metadata.message_id for message in messages]

    def pull_messages(self, message_ids):
        self._maybe_fail()
        return [
            Message(RecordDict(), reply_to=message)
            for message in self.sent
            if message.metadata.message_id in message_ids and message.metadata.dst_node_id != 9
        ]

    def send_and_receive(self, messages, *, timeout=None):
        raise AssertionError("not used")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_POLL"):
        monkeypatch.setattr(module, name, 0.01)


PASSING = [status_error(500), status_error(503), httpx.ConnectError("no"), ConnectionResetError()]
FINAL = [status_error(403), ValueError("a bug")]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_passes_is_asked_again(error):
    grid = PatientGrid(Shaky(error, failures=3))
    assert grid.get_node_ids() == [3, 4]
    assert [node.node_id for node in grid.get_nodes()] == [3, 4]
    replies = grid.send_and_receive([Message(RecordDict(), 3, "train")], timeout=5.0)
    assert [reply.metadata.src_node_id for reply in replies] == [3]


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_what_does_not_pass_is_raised_at_once(error):
    shaky = Shaky(error, failures=1)
    with pytest.raises(type(error)):
        PatientGrid(shaky).get_node_ids()
    assert shaky.calls == 1


def test_patience_ends():
    with pytest.raises(httpx.HTTPStatusError):
        PatientGrid(Shaky(status_error(500), failures=10**6), patience=0.1).get_node_ids()


def test_replies_that_miss_the_timeout_are_left_out():
    messages = [Message(RecordDict(), node, "train") for node in (3, 9)]
    replies = PatientGrid(Shaky()).send_and_receive(messages, timeout=0.05)
    assert [reply.metadata.src_node_id for reply in replies] == [3]


def test_the_rest_is_passed_on():
    shaky = Shaky()
    grid = PatientGrid(shaky)
    grid.set_run("it")
    assert (grid.run, shaky.given, grid.create_message(1)) == ("run", "it", (1,))


@pytest.fixture(autouse=True)
def _task_identity(monkeypatch):
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
