"""A small federation in memory, of five clients that answer with their own state."""

import logging
from dataclasses import fields
from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr import FedMVP, RoundObserver, RoundOptions
from fedmvp_flwr.aggregation.wire import pack, unpack

OPTIONS = {field.name for field in fields(RoundOptions)}
PROBE = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))


@pytest.fixture(autouse=True)
def _messages_have_a_sender(task_identity):
    """Every test here sends messages."""


def client_state(partition, server_round=1):
    generator = torch.Generator().manual_seed(100 * server_round + partition)
    return {
        "w": torch.randn(3, 4, generator=generator),
        "scale": torch.randn((), generator=generator),
        "count": torch.tensor(10 + partition),
    }


def represent(arrays, probe):
    return probe @ unpack(arrays)["w"]


@pytest.fixture(scope="session")
def toy():
    """Five nodes and their partitions, what clients answer with, a probe and how it is seen."""
    return SimpleNamespace(
        nodes={501: 4, 77: 0, 320: 3, 15: 1, 9000: 2},
        state=client_state,
        probe=PROBE,
        represent=represent,
    )


@pytest.fixture
def behave(answer):
    """Clients that answer with their own state and with partition + 1 examples."""

    def respond(message, partition):
        count = partition + 1
        if message.metadata.message_type == "evaluate":
            return answer(message, metrics={"num-examples": count, "accuracy": 0.1 * partition})
        server_round = message.content["config"]["server-round"]
        arrays = pack(client_state(partition, server_round), "fp32")
        return answer(message, arrays, {"num-examples": count, "loss": float(partition)})

    return respond


@pytest.fixture
def grid(fake_grid, behave, toy):
    """The five nodes, which answer as they are told to; otherwise as `behave`."""
    return lambda answers=None, shuffle=0: fake_grid(toy.nodes, answers or behave, shuffle)


@pytest.fixture
def initial():
    return pack({n: torch.zeros_like(t) for n, t in client_state(0).items()}, "fp32")


class Recorder(RoundObserver):
    """Remembers all that it is told."""

    def __init__(self):
        self.records, self.failed, self.evaluations, self.rounds = [], [], [], []

    def trained(self, record):
        self.records.append(record)

    def attempt_failed(self, *values):
        self.failed.append(values)

    def evaluated(self, *values):
        self.evaluations.append(values)

    def finished(self, finished):
        self.rounds.append(finished)
        return False


@pytest.fixture
def recorder():
    return Recorder


@pytest.fixture
def make():
    """A strategy and its observer, from arguments and options; nobody evaluates by default."""

    def build(*given, observer=None, kind=FedMVP, **arguments):
        observer = observer or Recorder()
        arguments = {"fraction_evaluate": 0.0, "min_evaluate_nodes": 0} | arguments
        options = {name: arguments.pop(name) for name in OPTIONS & arguments.keys()}
        strategy = kind(
            *(given or (PROBE, represent)),
            options=RoundOptions(**options),
            observer=observer,
            **arguments,
        )
        return strategy, observer

    return build


@pytest.fixture
def log(caplog):
    logger = logging.getLogger("flwr")
    logger.addHandler(caplog.handler)
    yield lambda: "\n".join(record.getMessage() for record in caplog.records)
    logger.removeHandler(caplog.handler)
