"""A result is there already, or half of it: it is taken up if it is of the same settings."""

import json
import re
import sys

import pytest

from experiments import compare
from experiments.compare import main, run_one
from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import write_json

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


@pytest.mark.slow
def test_an_interrupted_run_is_gone_on_with(light_runs, tmp_path, monkeypatch):
    from fedmvp_flwr.aggregation.checkpoint import CheckpointStore

    save = CheckpointStore.save

    def crash(self, server_round, *values):
        save(self, server_round, *values)
        if server_round == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointStore, "save", crash)
    cache = str(tmp_path / "cache")
    with pytest.raises(KeyboardInterrupt):
        run_one("a method", SETTINGS, 0, tmp_path, cache)
    monkeypatch.setattr(CheckpointStore, "save", save)
    for key, before, now in (
        ("local-epochs", 1, 2),
        ("num-server-rounds", 2, 1),
        ("device", "auto", "cpu"),
    ):
        with pytest.raises(ConfigError, match=rf"{key} = '?{before}'?, now '?{now}.*--out"):
            run_one("a method", SETTINGS | {key: now}, 0, tmp_path, cache)
    result = run_one("a method", SETTINGS, 0, tmp_path, cache)
    assert result["status"] == "completed"
    assert result["rounds"]["last"] == 2
    events = (tmp_path / "a-method" / "seed-0" / "metrics.jsonl").read_text().splitlines()
    assert [e["after-round"] for e in map(json.loads, events) if e["event"] == "run-resume"] == [1]
    assert run_one("a method", SETTINGS, 0, tmp_path, cache) == result


def store(out, settings, name="a-method", seed=0, **result):
    """Write what a completed run of these settings leaves; return it."""
    folder = out / name / f"seed-{seed}"
    folder.mkdir(parents=True)
    config = RunConfig.from_run_config({**settings, "seed": seed, "out-dir": str(folder)})
    result = {"status": "completed", "config": config.to_run_config(), "accuracy": {}} | result
    write_json(folder / "result.json", result)
    return result


@pytest.fixture
def runs(monkeypatch):
    """The run-configs of the runs that are started; none is run."""
    started = []

    def start(server_app, client_app, run_config, num_clients):
        started.append(run_config)
        raise RuntimeError("started")

    monkeypatch.setattr("fedmvp_flwr.simulation.in_process.run_in_process", start)
    return started


@pytest.mark.parametrize(
    ("key", "before", "now"),
    [
        ("partition", "dirichlet:0.1", "dirichlet:0.5"),
        ("test-split", "val", "test"),
        ("num-server-rounds", 1, 2),
        ("completion", "none", "retrieval"),
    ],
)
def test_a_result_of_other_settings_is_refused(key, before, now, tmp_path, runs):
    store(tmp_path, SETTINGS | {key: before})
    place = re.escape(str(tmp_path / "a-method" / "seed-0"))
    message = rf"{place} .*{key} = {before!r}, now {now!r}.*--out"
    with pytest.raises(ConfigError, match=message):
        run_one("a method", SETTINGS | {key: now}, 0, tmp_path, "")
    assert not runs


def test_the_first_setting_that_differs_is_named(tmp_path):
    store(tmp_path, SETTINGS)
    with pytest.raises(ConfigError, match=r"train-samples = 48, now 50") as caught:
        run_one("a method", SETTINGS | {"alpha": 1, "train-samples": 50}, 0, tmp_path, "")
    assert "alpha" not in str(caught.value)


def test_what_does_not_change_a_result_may_differ(tmp_path, runs):
    written = {"device": "cpu", "cache-dir": "/elsewhere", "round-timeout": 7, "tensorboard": True}
    result = store(tmp_path, SETTINGS | written | {"alpha": 1})
    assert run_one("a method", SETTINGS | {"alpha": 1.0}, 0, tmp_path, "/here") == result
    assert not runs


def test_a_setting_that_an_earlier_version_lacked_had_its_default(tmp_path, runs):
    result = store(tmp_path, SETTINGS)
    del result["config"]["data-seed"]
    write_json(tmp_path / "a-method" / "seed-0" / "result.json", result)
    assert run_one("a method", SETTINGS, 0, tmp_path, "") == result
    with pytest.raises(ConfigError, match="data-seed = 0, now 5"):
        run_one("a method", SETTINGS | {"data-seed": 5}, 0, tmp_path, "")


@pytest.mark.parametrize("config", [{"long-gone": 1}, {"alpha": "much"}, None])
def test_a_result_whose_settings_cannot_be_read_is_refused(config, tmp_path, runs):
    store(tmp_path, SETTINGS, config=config)
    with pytest.raises(ConfigError, match=r"seed-0 .*cannot be compared.*--out"):
        run_one("a method", SETTINGS, 0, tmp_path, "")
    assert not runs


def test_a_failed_run_without_a_round_is_run_anew(tmp_path, runs):
    store(tmp_path, SETTINGS | {"partition": "dirichlet:0.1"}, status="failed")
    with pytest.raises(RuntimeError, match="started"):
        run_one("a method", SETTINGS | {"partition": "dirichlet:0.5"}, 0, tmp_path, "")
    assert [run["partition"] for run in runs] == ["dirichlet:0.5"]


def test_a_probe_of_other_content_is_refused(tmp_path, make_batch, runs):
    from fedmvp_flwr.server.probe import Probe, save_probe

    path = tmp_path / "probe.safetensors"
    probes = [Probe(make_batch(seed=seed)) for seed in (1, 2)]
    save_probe(path, probes[0])
    settings = SETTINGS | {"probe-source": f"file:{path}"}
    tuned = settings | {"probe-tuning": "on"}
    without = store(tmp_path, settings, name="without", hashes={})
    result = store(tmp_path, tuned, hashes={"probe": probes[0].digest})
    assert run_one("a method", tuned, 0, tmp_path, "") == result
    save_probe(path, probes[1])
    with pytest.raises(ConfigError, match=rf"probe file.*{probes[0].digest[:8]}.*--out"):
        run_one("a method", tuned, 0, tmp_path, "")
    assert run_one("without", settings, 0, tmp_path, "") == without  # it has no use for a probe


def test_all_folders_are_looked_at_before_the_first_run(tmp_path, monkeypatch):
    names = ["mask", "fedavg+completion"]
    settings = compare.METHODS[names[1]] | {"partition": "dirichlet:0.1"}
    store(tmp_path, settings, name=names[1], seed=1)
    started = []
    monkeypatch.setattr(compare, "run_one", lambda *arguments: started.append(arguments))
    arguments = ["--out", str(tmp_path), "--seeds", "0", "1", "--methods", *names]
    monkeypatch.setattr(sys, "argv", ["compare", *arguments, "--set", 'partition="dirichlet:0.5"'])
    with pytest.raises(ConfigError, match=r"seed-1 .*:0\.1', now 'dirichlet:0\.5'.*--out"):
        main()
    assert not started


def test_a_second_set_adds_to_the_first(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(compare, "run_one", lambda name, settings, *_: seen.append(settings) or {})
    arguments = ["--out", str(tmp_path), "--seeds", "0", "--methods", "mask"]
    sets = ["--set", 'partition="dirichlet:0.5"', "--set", "local-epochs=1", "alpha=0.25"]
    monkeypatch.setattr(sys, "argv", ["compare", *arguments, *sets])
    main()
    expected = {"partition": "dirichlet:0.5", "local-epochs": 1, "alpha": 0.25}
    assert seen == [expected | compare.METHODS["mask"]]


def test_the_same_command_prints_the_stored_figures_again(tmp_path, monkeypatch, capsys, runs):
    accuracy = {"complete": 0.5, "image-only": 0.25, "text-only": 0.125}
    settings = compare.METHODS["mask"] | {"partition": "dirichlet:0.5"}
    store(tmp_path, settings, name="mask", accuracy=accuracy)
    arguments = ["--out", str(tmp_path), "--seeds", "0", "--methods", "mask"]
    monkeypatch.setattr(sys, "argv", ["compare", *arguments, "--set", 'partition="dirichlet:0.5"'])
    main()
    assert capsys.readouterr().out == "| mask | 50.0 ± 0.0 | 25.0 ± 0.0 | 12.5 ± 0.0 |\n"
    assert not runs
