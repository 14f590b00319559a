"""A tiny federation on the embedded models, run in this process."""

import json

import pytest

SMALL = {
    "train-samples": 48,
    "test-samples": 12,
    "num-server-rounds": 2,
    "evaluate-every": 1,
    "local-epochs": 1,
    "probe-per-class": 2,
    "generator-steps": 2,
    "model-width": 32,
    "partition": "iid",
    "missing-ratio": 0.5,
}
NUM_CLIENTS = 3


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def federate(tmp_path, cache):
    """Run a small federation; returns its result and its events."""

    def run(client_app=None, out=None, **settings):
        from client_app.app import app
        from fedmvp_flwr import RunConfig
        from fedmvp_flwr.simulation.in_process import run_in_process
        from server_app.app import app as server_app

        folder = out or tmp_path / "out"
        keys = {name.replace("_", "-"): value for name, value in settings.items()}
        values = SMALL | {"out-dir": str(folder), "cache-dir": str(cache)} | keys
        config = RunConfig.from_run_config(values)
        run_in_process(server_app, client_app or app, config.to_run_config(), NUM_CLIENTS)
        return read_run(folder)

    return run


def read_run(folder):
    """Result and events of a run's folder."""
    result = json.loads((folder / "result.json").read_text())
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return result, events


@pytest.fixture
def read():
    return read_run
