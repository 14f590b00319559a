import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

_HERE = Path(__file__).resolve().parent


def _load_helper() -> Any:
    spec = importlib.util.spec_from_file_location("core_environment", _HERE / "core_environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


core = _load_helper()

_EXTRAS = [  # what only the extras of the project bring
    *("transformers", "diffusers", "open_clip", "timm", "lmdb", "datasets", "flwr_datasets"),
    *("ray", "matplotlib", "PIL", "torchvision", "pandas"),
]
_TOOLS = ["pytest", "ruff", "mypy", "hatchling"]
_CLIENTS = 6
_ROUNDS = 3
_ORDERS: dict[str, dict[str, Any]] = {
    "importance": {},
    "again": {"num-server-rounds": 2},
    "examples": {"num-server-rounds": 1, "weighting": "examples"},
    "burning": {"num-server-rounds": 1},
    "diverging": {"num-server-rounds": 1, "learning-rate": 1e30},
}
_FAILING = {"burning": [2]}


@dataclass(frozen=True)
class Installed:
    """The project as installed: its wheel, the folder it lies in, its requirements' folder."""

    wheel: Path
    library: Path
    requirements: Path
    names: set[str]

    def run(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run Python on the wheel, its requirements and the example alone."""
        path = os.pathsep.join(map(str, (self.library, core.EXAMPLE, self.requirements)))
        return subprocess.run(
            [sys.executable, "-S", "-P", *arguments],  # neither site-packages nor tests/examples
            env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PATH": os.defpath},
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("installed")
    wheel = core.build_wheel(root / "dist")
    core.install_wheel(wheel, root / "library")
    names = core.link_requirements(root / "requirements", root / "library")
    return Installed(wheel, root / "library", root / "requirements", names)


@dataclass(frozen=True)
class Run:
    out: Path

    def outcome(self) -> dict[str, Any]:
        return self._json("outcome.json")

    def result(self) -> dict[str, Any]:
        return self._json("result.json")

    def events(self, kind: str) -> list[dict[str, Any]]:
        lines = (self.out / "metrics.jsonl").read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == kind]

    def test_accuracy(self) -> list[float]:
        return [event["accuracy"]["test"] for event in self.events("evaluation")]

    def _json(self, name: str) -> dict[str, Any]:
        return json.loads((self.out / name).read_text())


@pytest.fixture(scope="module")
def runs(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    root = tmp_path_factory.mktemp("runs")
    found = {name: Run(root / name) for name in _ORDERS}
    orders = [
        {
            "out": str(found[name].out),
            "num-clients": _CLIENTS,
            "failing": _FAILING.get(name, []),
            "run-config": {"num-server-rounds": _ROUNDS, **settings},
        }
        for name, settings in _ORDERS.items()
    ]
    (root / "orders.json").write_text(json.dumps(orders))
    done = installed.run(str(_HERE / "in_memory_run.py"), str(root / "orders.json"), cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    return found


def test_wheel_holds_the_library_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "fedmvp_flwr",
        "fedmvp_assets",
    }
    for source in ("fedmvp_flwr", "fedmvp_assets"):
        modules = {
            str(path.relative_to(core.REPOSITORY))
            for path in (core.REPOSITORY / source).rglob("*.py")
        }
        assert modules <= set(names), f"not in the wheel: {sorted(modules - set(names))}"
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"tests", "__pycache__", "client_app", "server_app", "examples"}


def test_environment_has_the_core_dependencies_only(installed: Installed, tmp_path: Path) -> None:
    assert {"flwr", "torch", "numpy", "pydantic", "safetensors"} <= installed.names
    code = (
        "import importlib.util, json, sys; print(json.dumps("
        "[name for name in sys.argv[1:] if importlib.util.find_spec(name)]))"
    )
    wanted = ["torch", "flwr", "sklearn", "fedmvp_flwr", "fedmvp_assets", "digits_app"]
    unwanted = [*_EXTRAS, *_TOOLS, "client_app", "server_app"]
    done = installed.run("-c", code, *wanted, *unwanted, cwd=tmp_path)
    assert json.loads(done.stdout) == wanted, done.stderr


def test_runs_from_the_installed_wheel(runs: dict[str, Run], installed: Installed) -> None:
    outcome = runs["importance"].outcome()
    assert outcome["error"] is None
    assert Path(outcome["library"]).is_relative_to(installed.library)
    assert not set(outcome["modules"]) & set(_EXTRAS)


def test_accuracy_rises_clearly(runs: dict[str, Run]) -> None:
    accuracy = runs["importance"].test_accuracy()
    assert len(accuracy) == _ROUNDS + 1  # before the first round, and after each
    assert accuracy[0] < 0.3
    assert accuracy[-1] > 0.7
    result = runs["importance"].result()
    assert result["status"] == "completed"
    assert result["test-accuracy"] == accuracy[-1]
    assert result["client-accuracy"] > 0.7


def test_clients_weigh_as_the_graph_says(runs: dict[str, Run]) -> None:
    rounds = runs["importance"].events("round")
    assert [event["round"] for event in rounds] == list(range(1, _ROUNDS + 1))
    for event in rounds:
        assert event["clients"] == list(range(_CLIENTS))
        assert sum(event["weights"]) == pytest.approx(1)
        assert event["weights"] == pytest.approx(event["importance"])
        assert 0 < event["distance_to_uniform"] < 0.2


def test_weighting_by_examples_needs_no_graph(runs: dict[str, Run]) -> None:
    first = runs["examples"].events("round")[0]
    assert first["importance"] is None
    assert sum(first["weights"]) == pytest.approx(1)
    assert max(first["weights"]) > 1.5 * min(first["weights"])  # the deal is uneven


def test_the_same_seed_gives_the_same_run(runs: dict[str, Run]) -> None:
    def essence(run: Run, rounds: int) -> list[object]:
        trained = [(e["weights"], e["train"]) for e in run.events("round")]
        return [trained[:rounds], run.test_accuracy()[: rounds + 1]]

    assert essence(runs["importance"], 2) == essence(runs["again"], 2)
    assert essence(runs["importance"], 1) != essence(runs["examples"], 1)


def test_every_round_leaves_a_checkpoint(runs: dict[str, Run]) -> None:
    checkpoint = runs["importance"].outcome()["checkpoint"]
    assert checkpoint["round"] == _ROUNDS
    assert checkpoint["arrays"]["head.weight"] == [[10, 64], "torch.float32"]
    # Integer and 0-d, and thus a stumbling block: the counter of BatchNorm.
    assert checkpoint["arrays"]["body.1.num_batches_tracked"] == [[], "torch.int64"]


def test_a_failing_client_is_left_out_and_named(runs: dict[str, Run]) -> None:
    run = runs["burning"]
    assert run.result()["status"] == "completed"
    (event,) = run.events("round")
    assert event["clients"] == [0, 1, 3, 4, 5]
    assert sum(event["weights"]) == pytest.approx(1)
    (rejected,) = event["rejected"]
    assert rejected["client"] == 2
    assert "the disk is on fire" in rejected["reason"]


def test_no_valid_reply_fails_the_run(runs: dict[str, Run]) -> None:
    run = runs["diverging"]
    assert "Round 1 has no valid reply" in run.outcome()["error"]
    assert not (run.out / "result.json").exists()


def test_flower_simulates_it(installed: Installed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "fedmvp_flwr.cli.main", "simulate", "--app", str(core.EXAMPLE)),
            *("--num-clients", "3", "--out", str(out), "--run-config", "num-server-rounds=2"),
        ],
        env={**os.environ, "PYTHONPATH": str(installed.library), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Run(out).test_accuracy()[-1] > 0.6
    assert Run(out).result()["status"] == "completed"
    assert [event["clients"] for event in Run(out).events("round")] == [[0, 1, 2]] * 2
