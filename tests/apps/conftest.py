"""A tiny federation on the embedded models, run in this process."""

import gc
import json
from pathlib import Path

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


def run_lightly(values, client_app=None, nodes=None, *, report=False):
    """Run a federation in this process; return its result and its events.

    Args:
        values: its run-config.
        client_app: in the place of the real one.
        nodes: node configs, in the place of clients by number.
        report: whether to draw one, which takes as long as all the rest.
    """
    from client_app.app import app
    from fedmvp_flwr import RunConfig
    from fedmvp_flwr.server import journal
    from fedmvp_flwr.simulation.in_process import run_in_process
    from server_app.app import app as server_app

    config = RunConfig.from_run_config(values)
    gc.collect()
    gc.freeze()  # clients collect garbage, and all that the libraries hold would take them seconds
    with pytest.MonkeyPatch.context() as patch:
        if not report:
            patch.setattr(journal, "write_report_if_available", lambda _: None)
        clients = 0 if nodes else NUM_CLIENTS
        run_in_process(server_app, client_app or app, config.to_run_config(), clients, nodes)
    return read_run(Path(config.run.out_dir))


def run_small(cache, folder, client_app=None, *, report=False, **settings):
    """Run a small federation; return its result and its events."""
    keys = {name.replace("_", "-"): value for name, value in settings.items()}
    values = SMALL | {"out-dir": str(folder), "cache-dir": str(cache)} | keys
    return run_lightly(values, client_app, report=report)


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


@pytest.fixture(scope="session")
def wrap():
    return wrapped_client


def read_run(folder):
    """Result and events of a run's folder."""
    result = json.loads((folder / "result.json").read_text())
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return result, events


@pytest.fixture(name="run_lightly", scope="session")
def run_lightly_fixture():
    return run_lightly


@pytest.fixture(scope="session")
def read():
    return read_run
