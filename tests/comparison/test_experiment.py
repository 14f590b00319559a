from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.comparison.experiment import ExperimentFile, plan, read_experiment
from fedmvp_flwr.comparison.methods import METHODS, QUESTION
from fedmvp_flwr.config import RunConfig

FILES = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*.toml"))


def _file(tmp_path, text):
    path = tmp_path / "e.toml"
    path.write_text(text, encoding="utf-8")
    return read_experiment(path)


def test_every_combination_is_a_run(tmp_path):
    file = _file(
        tmp_path,
        'seeds = [3, 5]\nmethods = ["mask"]\nnum-clients = 4\n[method.own]\nalpha = 0.5\n'
        "[settings]\nlocal-epochs = 1\n[grid]\nmissing-ratio = [0.2, 0.8]\n",
    )
    experiment = plan(file, {}, paths={})
    assert experiment.clients == 4
    assert experiment.methods == ["mask", "own"]
    assert experiment.groups == ["missing-ratio=0.2", "missing-ratio=0.8"]
    assert len({cell.name for cell in experiment.cells}) == len(experiment.cells) == 8
    own = next(c for c in experiment.cells if c.method == "own" and c.group.endswith("0.8"))
    assert own.settings == {"local-epochs": 1, "missing-ratio": 0.8, "alpha": 0.5}
    assert own.name == "runs/missing-ratio=0.8/own/seed-3"


def test_the_command_line_wins_over_the_file_and_the_method_over_both():
    file = ExperimentFile.model_validate(
        {"settings": {"local-epochs": 1, "completion": "retrieval"}, "methods": ["mask", "fedmvp"]}
    )
    mask, fedmvp = plan(file, {"local-epochs": 7}, paths={}, seeds=[0]).cells
    assert mask.settings["local-epochs"] == fedmvp.settings["local-epochs"] == 7
    assert mask.settings["completion"] == "none"
    assert fedmvp.settings["completion"] == "retrieval"


def test_without_a_file_the_question_is_whether_completion_is_worth_it():
    assert plan(ExperimentFile(), {}, paths={}).methods == list(QUESTION)


def test_methods_seeds_and_clients_of_the_command_line():
    file = ExperimentFile.model_validate({"methods": ["drop"], "seeds": [1]})
    experiment = plan(file, {}, paths={}, methods=["mask"], seeds=[8, 9], clients=3)
    assert [(c.method, c.seed) for c in experiment.cells] == [("mask", 8), ("mask", 9)]
    assert experiment.clients == 3


def test_an_unknown_method_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"unknown method 'fedmpv'.*fedmvp"):
        plan(ExperimentFile(methods=["fedmpv"]), {}, paths={})


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("seed = [0]", "seed: no such key"),
        ('seeds = ["a"]', "seeds.0"),
        ("num-clients = 1", "num-clients"),
        ("[settings]\nmodels = [1]", "settings.models"),
        ("not toml", "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named):
        _file(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_experiment(tmp_path / "none.toml")


def test_paths_come_from_outside(tmp_path, monkeypatch):
    file = ExperimentFile(settings={"dataset": "folder:{data}", "seed": 1}, methods=["mask"])
    with pytest.raises(ConfigError, match=r"data \(not given\).*FEDMVP_DATA"):
        plan(file, {}, paths={})
    with pytest.raises(ConfigError, match="No such path"):
        plan(file, {}, paths={"data": str(tmp_path / "none")})
    cell = plan(file, {}, paths={"data": str(tmp_path)}, seeds=[0]).cells[0]
    assert cell.settings["dataset"] == f"folder:{tmp_path}"
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    assert plan(file, {}, paths={}, seeds=[0]).cells[0].settings == cell.settings


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_published_files_can_be_run(path, tmp_path):
    paths = dict.fromkeys(("data", "mobilenet", "minilm"), str(tmp_path))
    experiment = plan(read_experiment(path), {}, paths=paths)
    assert experiment.methods == list(METHODS)
    for cell in experiment.cells:
        RunConfig.from_run_config(cell.settings)
