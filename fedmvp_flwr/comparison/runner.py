"""Runs the runs of a comparison: those that are missing, several at a time, each as a process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.comparison.experiment import Cell, Experiment
from fedmvp_flwr.config import FREE_KEYS, RunConfig
from fedmvp_flwr.simulation.flower_app import ConfigValue, absolute_paths

_POLL = 0.5
_END = 10.0  # seconds for a run to end when it is told to
# Figures after another number of rounds are others.
_FREE = frozenset(FREE_KEYS) - {"num-server-rounds"}


@dataclass
class Progress:
    """How far a comparison is.

    Attributes:
        total: number of runs.
        done: names of the runs that are completed.
        running: rounds finished so far, by the name of the run.
        failed: reason by the name of the run.
        seconds: of the runs that were completed now.
    """

    total: int
    done: list[str] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)


def settings_of(cell: Cell, out: Path, common: Mapping[str, ConfigValue]) -> RunConfig:
    """The run-config of a run.

    Raises:
        ConfigError: an unknown key or a bad value.
    """
    folder = {"seed": cell.seed, "out-dir": str(out / cell.name)}
    try:
        settings = absolute_paths({**common, **cell.settings}, Path.cwd())
        return RunConfig.from_run_config({**settings, **folder})
    except ConfigError as error:
        raise ConfigError(f"{cell.method}: {error}") from error


def require_same(config: RunConfig, folder: RunFolder) -> None:
    """Refuse a folder that holds a run of other settings, completed or interrupted.

    Raises:
        CheckpointError: an interrupted run cannot be gone on with.
        ConfigError: names the first setting that differs, and what to do.
    """
    before = (folder.read_result() or {}).get("config")
    if before is None and folder.newest_round():
        from fedmvp_flwr.server.resume import load_resume_point  # needs torch

        before = load_resume_point(folder.path).state.config
    if not isinstance(before, dict):
        return
    now = config.to_run_config()
    for key in sorted((before.keys() | now.keys()) - _FREE):
        if before.get(key) != now.get(key):
            raise ConfigError(
                f"{folder.path} holds a run of other settings: there, {key} = "
                f"{before.get(key)!r}, now {now.get(key)!r}. Choose another folder with --out, or "
                "remove that run."
            )


def run_all(
    experiment: Experiment,
    configs: Mapping[str, RunConfig],
    app: Path,
    jobs: int,
    show: Callable[[Progress], None],
) -> Progress:
    """Run what is missing; a run that fails does not stop the others.

    An interrupt ends the runs under way; what is finished stays, and the same call goes on.

    Args:
        experiment: what to run.
        configs: run-config by the name of a cell.
        app: folder of the Flower app.
        jobs: at most so many at a time.
        show: is told of the progress, twice a second.
    """
    progress = Progress(len(experiment.cells))
    waiting = []
    for cell in experiment.cells:
        folder = RunFolder(Path(configs[cell.name].run.out_dir))
        if folder.completed:
            progress.done.append(cell.name)
        else:
            waiting.append(cell)
    running: dict[str, tuple[Cell, subprocess.Popen[bytes], float]] = {}
    show(progress)
    with _ended(running):
        while waiting or running:
            for cell in _startable(waiting, running, configs, jobs):
                waiting.remove(cell)
                process = _start(configs[cell.name], app, experiment.clients)
                running[cell.name] = (cell, process, time.monotonic())
            for name, (_, process, began) in list(running.items()):
                if process.poll() is None:
                    progress.running[name] = _rounds(configs[name])
                    continue
                del running[name]
                progress.running.pop(name, None)
                folder = RunFolder(Path(configs[name].run.out_dir))
                if process.returncode == 0 and folder.completed:
                    progress.done.append(name)
                    progress.seconds.append(time.monotonic() - began)
                else:
                    progress.failed[name] = _reason(folder, process.returncode)
            show(progress)
            if running:
                time.sleep(_POLL)
    return progress


def _startable(
    waiting: list[Cell],
    running: Mapping[str, tuple[Cell, "subprocess.Popen[bytes]", float]],
    configs: Mapping[str, RunConfig],
    jobs: int,
) -> Iterator[Cell]:
    """Runs to start now. One at a time prepares a group's data: the others find it prepared."""
    preparing = {
        cell.group for name, (cell, _, _) in running.items() if not _is_prepared(configs[name])
    }
    free = jobs - len(running)
    for cell in list(waiting):
        if free <= 0:
            return
        if cell.group not in preparing:
            preparing.add(cell.group)
            free -= 1
            yield cell


def _start(config: RunConfig, app: Path, clients: int) -> "subprocess.Popen[bytes]":
    folder = RunFolder(Path(config.run.out_dir))
    folder.path.mkdir(parents=True, exist_ok=True)
    settings = config.to_run_config()
    if folder.newest_round() and not folder.completed:
        settings["resume"] = str(folder.path)
    command = [sys.executable, "-m", "fedmvp_flwr.comparison.worker"]
    with folder.log.open("ab") as log:
        return subprocess.Popen(
            [*command, str(app), json.dumps(settings), str(clients)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is passed on by us
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )


@contextmanager
def _ended(running: Mapping[str, tuple[Cell, "subprocess.Popen[bytes]", float]]) -> Iterator[None]:
    """End what is still running, whatever happens."""
    try:
        yield
    finally:
        for _, process, _ in running.values():
            process.terminate()
        for _, process, _ in running.values():
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _rounds(config: RunConfig) -> int:
    """Rounds that a run has finished."""
    newest = RunFolder(Path(config.run.out_dir)).newest_round()
    return int(newest.stem.rpartition("-")[2]) if newest else 0


def _is_prepared(config: RunConfig) -> bool:
    """Whether a run has begun to train."""
    metrics = RunFolder(Path(config.run.out_dir)).metrics
    return metrics.is_file() and any(e.get("name") == "training" for e in read_events(metrics))


def _reason(folder: RunFolder, code: int) -> str:
    """Why a run failed: its own words, or the last line that it left."""
    told = (folder.read_result() or {}).get("reason")
    if told:
        return str(told)
    lines = folder.log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f"{last.strip()} (exit code {code}; {folder.log})"
