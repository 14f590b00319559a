"""Shared by the tests of the command: its entry point, and stand-ins for what takes long."""

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedmvp_flwr.cli import main as cli
from fedmvp_flwr.cli import simulate
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.simulation import SimulationOutcome

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, dict[str, Any]]]:
    """The calls of a launcher that does nothing and reports success."""
    seen: list[tuple[Path, dict[str, Any]]] = []

    def launch(app: Path, **arguments: Any) -> SimulationOutcome:
        seen.append((app, arguments))
        arguments["on_event"]({"event": "round", "round": 1, "train": {"loss": 1.0}})
        return SimulationOutcome("", "7", arguments["out"])

    monkeypatch.setattr(simulate, "run_simulation", launch)
    monkeypatch.setattr(simulate, "preflight_apart", lambda config, clients: PreflightReport())
    return seen


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
    from fedmvp_flwr.aggregation.wire import pack
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.protocol.class_counts import ClassCounts
    from fedmvp_flwr.server.resume import RunState
    from fedmvp_flwr.server.selection import Selection

    config = RunConfig.of(seed=7, beta=0.25, out_dir="/elsewhere").to_run_config()
    state = RunState(
        config=config,
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
        clients=6,
        data={},
    )
    folder = tmp_path / "night"
    CheckpointStore(folder / "checkpoints").save(3, pack({}, "fp16"), state.model_dump())
    return folder


@pytest.fixture
def preparation(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in for the modules that load models and data."""
    module = types.ModuleType("stand_in")

    def prepare_all(config: Any, num_clients: int, progress: Any) -> dict[str, int]:
        progress("captions", 0, 2)
        progress("captions", 2, 2)
        return {"made": num_clients, "reused": 4}

    module.prepare_all = prepare_all
    module.prepare_one = prepare_all

    def preflight(config: Any, num_clients: int, timed: bool) -> PreflightReport:
        work = [{"work": "image features", "all": 9, "left": 4}]
        estimates = {"completion s": 7.5} if timed else {}
        return PreflightReport(rows=[{"client": 0, "samples": 12}], work=work, estimates=estimates)

    module.preflight = preflight
    for name in ("fedmvp_flwr.cli.prepare_clients", "fedmvp_flwr.preflight.checks"):
        monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def fedmvp(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command `fedmvp`, called with arguments; it returns its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["fedmvp", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        return int(exit_.value.code or 0)

    return run
