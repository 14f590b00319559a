"""The whole thing by `flwr run`: SuperLink, Ray, our apps, embedded data and models."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "train-samples": 60,
    "test-samples": 12,
    "num-server-rounds": 2,
    "evaluate-every": 1,
    "local-epochs": 1,
    "probe-per-class": 2,
    "image-generator": "diffusers:embedded?steps=2",
    "model-width": 32,
    "missing-ratio": 0.5,
    "partition": "iid",
}


@pytest.mark.slow
def test_simulation_by_flwr_run_equals_the_run_in_one_process(tmp_path):
    pytest.importorskip("ray", reason="the extra 'simulation' is not installed")
    from client_app.app import app as client_app
    from fedmvp_flwr import RunConfig
    from fedmvp_flwr.simulation.in_process import run_in_process
    from fedmvp_flwr.simulation.launcher import run_simulation
    from server_app.app import app as server_app

    cache = str(tmp_path / "cache")
    config = RunConfig.from_run_config(
        SMALL | {"cache-dir": cache, "out-dir": str(tmp_path / "one")}
    )
    run_in_process(server_app, client_app, config.to_run_config(), 3)
    seen = []
    outcome = run_simulation(
        ROOT,
        run_config=SMALL | {"cache-dir": cache},
        num_clients=3,
        out=tmp_path / "many",
        on_event=seen.append,
    )
    assert not outcome.problem
    one, many = (
        json.loads((tmp_path / name / "result.json").read_text()) for name in ("one", "many")
    )
    assert many["hashes"]["masks"] == one["hashes"]["masks"]
    assert many["hashes"]["probe"] == one["hashes"]["probe"]
    for condition, value in one["accuracy"].items():
        assert many["accuracy"][condition] == pytest.approx(value, abs=0.1)
    assert all(counts["made"] == 0 for counts in many["completions"].values())
    for name in ("model.safetensors", "report.html", "metrics.jsonl", "run.log"):
        assert (tmp_path / "many" / name).stat().st_size > 0
    assert [event["round"] for event in seen if event.get("event") == "round"] == [1, 2]
