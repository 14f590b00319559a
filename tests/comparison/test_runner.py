import json
import subprocess
import sys
from pathlib import Path

import pytest

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.comparison import runner
from fedmvp_flwr.comparison.experiment import ExperimentFile, plan
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.server.resume import RunState
from fedmvp_flwr.server.selection import Selection

WORK = """
import json, sys
from pathlib import Path
settings = json.loads(sys.argv[1])
out = Path(settings["out-dir"])
if settings["seed"] == 9:
    print("some words")
    sys.exit("the last words")
if settings["seed"] == 7:
    import time
    time.sleep(600)
(out / "result.json").write_text(json.dumps({"status": "completed", "config": settings}))
"""


@pytest.fixture
def started(monkeypatch):
    """Runs are short scripts; returns the names of those that were started."""
    names = []

    def start(config, app, clients):
        folder = RunFolder(Path(config.run.out_dir))
        folder.path.mkdir(parents=True, exist_ok=True)
        names.append(folder.path.name)
        with folder.log.open("ab") as log:
            command = [sys.executable, "-c", WORK, json.dumps(config.to_run_config())]
            return subprocess.Popen(command, stdout=log, stderr=log)

    monkeypatch.setattr(runner, "_start", start)
    monkeypatch.setattr(runner, "_POLL", 0.01)
    return names


def _planned(tmp_path, seeds):
    experiment = plan(ExperimentFile(methods=["mask"], seeds=seeds), {}, paths={})
    return experiment, {c.name: runner.settings_of(c, tmp_path, {}) for c in experiment.cells}


def test_what_is_missing_is_run_and_a_failure_stops_nobody(tmp_path, started):
    experiment, configs = _planned(tmp_path, [0, 9, 1])
    progress = runner.run_all(experiment, configs, tmp_path, 2, lambda progress: None)
    assert sorted(progress.done) == ["runs/mask/seed-0", "runs/mask/seed-1"]
    assert progress.failed["runs/mask/seed-9"].startswith("the last words (exit code 1")
    assert progress.running == {}
    started.clear()
    again = runner.run_all(experiment, configs, tmp_path, 2, lambda progress: None)
    assert started == ["seed-9"]
    assert len(again.done) == 2


def test_an_interrupt_ends_what_runs_and_keeps_what_is_done(tmp_path, started):
    experiment, configs = _planned(tmp_path, [0, 7])

    def interrupt(progress):
        if progress.done and progress.running:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run_all(experiment, configs, tmp_path, 1, interrupt)
    assert RunFolder(tmp_path / "runs/mask/seed-0").completed
    assert not RunFolder(tmp_path / "runs/mask/seed-7").completed


def test_one_run_of_a_group_prepares_before_its_siblings_start(tmp_path):
    file = ExperimentFile(methods=["mask", "fedmvp"], seeds=[0], grid={"missing-ratio": [0.2, 0.5]})
    experiment = plan(file, {}, paths={})
    configs = {c.name: runner.settings_of(c, tmp_path, {}) for c in experiment.cells}
    first = list(runner._startable([*experiment.cells], {}, configs, 4))
    assert [cell.group for cell in first] == ["missing-ratio=0.2", "missing-ratio=0.5"]
    running = {first[0].name: (first[0], None, 0.0)}
    rest = [cell for cell in experiment.cells if cell is not first[0]]
    assert [c.group for c in runner._startable(rest, running, configs, 4)] == ["missing-ratio=0.5"]
    metrics = RunFolder(tmp_path / first[0].name).metrics
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"event": "phase", "name": "training", "status": "start"}\n')
    groups = [cell.group for cell in runner._startable(rest, running, configs, 4)]
    assert sorted(groups) == ["missing-ratio=0.2", "missing-ratio=0.5"]


def test_a_run_of_other_settings_is_refused_by_key_and_values(tmp_path, write_run):
    experiment, configs = _planned(tmp_path, [0])
    (cell,) = experiment.cells
    folder = RunFolder(tmp_path / cell.name)
    runner.require_same(configs[cell.name], folder)
    write_run(folder.path, {**cell.settings, "local-epochs": 5}, {})
    with pytest.raises(ConfigError, match=r"local-epochs = 5, now 2"):
        runner.require_same(configs[cell.name], folder)


def test_an_interrupted_run_of_other_settings_is_refused_as_well(tmp_path):
    experiment, configs = _planned(tmp_path, [0])
    (cell,) = experiment.cells
    folder = RunFolder(tmp_path / cell.name)
    state = RunState(
        config=configs[cell.name].changed(local_epochs=5).to_run_config(),
        class_names=[],
        probe=None,
        models={},
        threshold=0.0,
        counts=ClassCounts([], {}),
        history_bytes=0,
        history_hash="",
        bytes={},
        seconds={},
        selection=Selection(),
        names={},
        clients=3,
        data={},
    )
    CheckpointStore(folder.checkpoints).save(1, pack({}, "fp16"), state.model_dump())
    with pytest.raises(ConfigError, match=r"local-epochs = 5, now 2"):
        runner.require_same(configs[cell.name], folder)


def test_paths_of_a_file_are_taken_from_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = ExperimentFile(methods=["mask"], settings={"cache-dir": "store"})
    cell = plan(file, {}, paths={}).cells[0]
    assert runner.settings_of(cell, tmp_path, {}).run.cache_dir == str(tmp_path / "store")


def test_a_wrong_setting_names_its_method(tmp_path):
    experiment = plan(ExperimentFile(methods=["mask"], settings={"alhpa": 1}), {}, paths={})
    with pytest.raises(ConfigError, match=r"mask: .*alhpa.*alpha"):
        runner.settings_of(experiment.cells[0], tmp_path, {})


def test_an_interrupted_run_is_gone_on_with(tmp_path, monkeypatch):
    _, configs = _planned(tmp_path, [0])
    (config,) = configs.values()
    folder = RunFolder(Path(config.run.out_dir))
    folder.checkpoints.mkdir(parents=True)
    folder.round_file(3).touch()
    given = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **kwargs: given.append(command))
    runner._start(config, tmp_path, 10)
    assert json.loads(given[0][-2])["resume"] == str(folder.path)
