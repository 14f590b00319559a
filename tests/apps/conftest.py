"""A tiny federation on the embedded models, run in this process."""

import json

import pytest
from flwr.clientapp import ClientApp

SMALL = {
    "train-samples": 48,
    "test-samples": 12,
    "num-server-rounds": 2,
    "evaluate-every": 1,
    "local-epochs": 1,
    "probe-per-class": 2,
    "image-generator": "diffusers:embedded?steps=2",
    "model-width": 32,
    "partition": "iid",
    "missing-ratio": 0.5,
}
NUM_CLIENTS = 3


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run_small(cache, folder, client_app=None, **settings):
    """Run a small federation; returns its result and its events."""
    from client_app.app import app
    from fedmvp_flwr import RunConfig
    from fedmvp_flwr.simulation.in_process import run_in_process
    from server_app.app import app as server_app

    keys = {name.replace("_", "-"): value for name, value in settings.items()}
    values = SMALL | {"out-dir": str(folder), "cache-dir": str(cache)} | keys
    config = RunConfig.from_run_config(values)
    run_in_process(server_app, client_app or app, config.to_run_config(), NUM_CLIENTS)
    return read_run(folder)


@pytest.fixture
def federate(tmp_path, cache):
    """Run a small federation; returns its result and its events."""

    def run(client_app=None, out=None, **settings):
        return run_small(cache, out or tmp_path / "out", client_app, **settings)

    return run


@pytest.fixture(scope="module")
def federate_module(cache):
    """The same, into a given folder, for runs that several tests look at."""

    def run(out, **settings):
        return run_small(cache, out, **settings)

    return run


def wrapped_client(misbehave, when, of="train"):
    """The real ClientApp, whose reply to a training, or an evaluation, is replaced.

    Args:
        misbehave: called with the message and the real reply; returns another, or raises.
        when: called with partition and round; whether to replace that reply.
        of: `train` or `evaluate`.
    """
    from client_app.app import app

    wrapper = ClientApp()

    @wrapper.query("identity")
    def identity(message, context):
        return app(message, context)

    @wrapper.query("prepare")
    def prepare(message, context):
        return app(message, context)

    def replaced(kind, message, context):
        server_round = message.content.config_records["config"]["server-round"]
        reply = app(message, context)
        if kind == of and when(context.node_config["partition-id"], server_round):
            return misbehave(message, reply)
        return reply

    @wrapper.evaluate()
    def evaluate(message, context):
        return replaced("evaluate", message, context)

    @wrapper.train()
    def train(message, context):
        return replaced("train", message, context)

    return wrapper


@pytest.fixture
def wrap():
    return wrapped_client


def read_run(folder):
    """Result and events of a run's folder."""
    result = json.loads((folder / "result.json").read_text())
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return result, events


@pytest.fixture
def read():
    return read_run
