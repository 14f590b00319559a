"""Compare the weightings over three seeds in one process: `python compare.py` (2 minutes)."""

import json
import logging
import statistics
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from digits_app.client_app import app as client_app
from digits_app.server_app import app as server_app

from fedmvp_flwr.simulation.in_process import run_in_process

_CLIENTS = 10
_SEEDS = (0, 1, 2)
_EARLY_ROUND = 4
_SETTINGS: dict[str, dict[str, Any]] = {
    "examples (FedAvg)": {"weighting": "examples"},
    "uniform": {"weighting": "uniform"},
    "importance (FedMVP)": {"weighting": "importance"},
    "importance-examples": {"weighting": "importance-examples"},
}


def main() -> None:
    """Print one row of a Markdown table per weighting, as soon as its runs are done."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
    pyproject = Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8")
    defaults = tomllib.loads(pyproject)["tool"]["flwr"]["app"]["config"]
    last = defaults["num-server-rounds"]
    _row("weighting", f"round {_EARLY_ROUND}", f"round {last}", "from uniform")
    _row(*["---"] * 4)
    for name, settings in _SETTINGS.items():
        runs = [_run({**defaults, **settings, "seed": seed}) for seed in _SEEDS]
        _row(
            name,
            _percent([accuracy[_EARLY_ROUND] for accuracy, _ in runs]),
            _percent([accuracy[last] for accuracy, _ in runs]),
            f"{statistics.mean(d for _, distances in runs for d in distances):.1%}",
        )


def _run(config: dict[str, Any]) -> tuple[dict[int, float], list[float]]:
    """Return the test accuracy after each round, and the weights' distances to uniform."""
    with tempfile.TemporaryDirectory() as out:
        run_in_process(server_app, client_app, {**config, "out-dir": out}, _CLIENTS)
        lines = (Path(out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    accuracy = {e["round"]: e["accuracy"]["test"] for e in events if e["event"] == "evaluation"}
    return accuracy, [e["distance_to_uniform"] for e in events if e["event"] == "round"]


def _percent(values: list[float]) -> str:
    return f"{statistics.mean(values):.1%} ({', '.join(f'{value:.1%}' for value in values)})"


def _row(*cells: str) -> None:
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
