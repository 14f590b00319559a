"""An experiment that was interrupted goes on where it stopped."""

import json

import pytest

from experiments.compare import run_one

SETTINGS = {
    "train-samples": 48,
    "test-samples": 12,
    "num-server-rounds": 2,
    "evaluate-every": 2,
    "local-epochs": 1,
    "model-width": 32,
    "partition": "iid",
    "completion": "none",
    "method": "fedavg",
    "fraction-train": 0.2,
}


def test_an_interrupted_run_is_gone_on_with(tmp_path, monkeypatch):
    from fedmvp_flwr.aggregation.strategy import FedMVP

    finish = FedMVP.finish_round

    def crash(self, finished):
        stop = finish(self, finished)
        if finished.server_round == 1:
            raise KeyboardInterrupt
        return stop

    monkeypatch.setattr(FedMVP, "finish_round", crash)
    cache = str(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        run_one("a method", SETTINGS, 0, tmp_path, cache)
    monkeypatch.setattr(FedMVP, "finish_round", finish)
    result = run_one("a method", SETTINGS, 0, tmp_path, cache)
    assert result["status"] == "completed"
    assert result["rounds"]["last"] == 2
    events = (tmp_path / "a-method" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    assert [e["after-round"] for e in map(json.loads, events) if e["event"] == "run-resume"] == [1]
    assert run_one("a method", SETTINGS, 0, tmp_path, cache) == result
