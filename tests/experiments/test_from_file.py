from pathlib import Path

import pytest

from experiments.from_file import PROBE_FILE, fill, read_experiment, save_public_probe
from fedmvp_flwr import RunConfig
from fedmvp_flwr.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "experiments"


def test_fashion30_names_settings_that_there_are(tmp_path):
    path = FOLDER / "fashion30.toml"
    tables = read_experiment(path)
    names = ("data", "mobilenet", "minilm", "pretrained")
    paths = {name: str(tmp_path) for name in names}
    for own in tables["methods"].values():
        values = fill(tables["settings"] | own, paths)
        config = RunConfig.from_run_config(values)
        assert str(tmp_path) in config.dataset
    text = path.read_text()
    for head in ("Purpose:", "Command:", "Time:", "Metric:"):
        assert head in text


def test_paths_come_from_the_command_line_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    values = {"dataset": "folder:{data}/a", "captioner": "x:{own-model}", "n": 3, "p": PROBE_FILE}
    filled = fill(values, {"own-model": str(tmp_path / "a")})
    assert filled == {
        "dataset": f"folder:{tmp_path}/a",
        "captioner": f"x:{tmp_path}/a",
        "n": 3,
        "p": PROBE_FILE,
    }


def test_all_missing_paths_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FEDMVP_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"data \(not given\), model \(.*nowhere\).*FEDMVP_DATA"):
        fill({"a": "{data}", "b": "{model}"}, {"model": str(tmp_path / "nowhere")})


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[setting]\na = 1\n[methods.b]\n")
    with pytest.raises(ConfigError, match="setting"):
        read_experiment(path)


def test_the_probe_is_made_of_labelled_public_pairs(tmp_path):
    from fedmvp_flwr.aggregation.probe import load_probe

    settings = {"dataset": "flora", "train-samples": 120, "cache-dir": str(tmp_path / "cache")}
    path = save_public_probe(settings, {"split": "test", "per-class": 2}, tmp_path)
    probe = load_probe(path)
    counts = probe.batch.labels.bincount()
    assert counts.max() == 2
    assert all(m.present.all() for m in probe.batch.modalities.values())
    assert not any(m.generated.any() for m in probe.batch.modalities.values())
