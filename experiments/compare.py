"""Compare methods on the same samples and holes, over several seeds, in one process each.

Purpose: the result table of the README.
Command: python -m experiments.compare --out runs/compare
Time:    about 2 minutes per run on one core once the feature store is filled.
Metric:  accuracy on the test set (complete, image-only, text-only), mean and spread over seeds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MASK = {"method": "fedavg", "completion": "none"}
METHODS: dict[str, dict[str, Any]] = {
    "drop-incomplete": _MASK | {"incomplete": "drop"},
    "mask": _MASK,
    "mask, uniform weights": _MASK | {"weighting": "uniform"},
    "fedavg+completion": {"method": "fedavg"},
    "mask, probe tuning": _MASK | {"probe-tuning": "on"},
    "mask, uniform weights, probe tuning": _MASK | {"weighting": "uniform", "probe-tuning": "on"},
    "fedmvp, no probe tuning": {"probe-tuning": "off"},
    "fedmvp, uniform weights": {"weighting": "uniform"},
    "fedmvp": {},
    "fedmvp, sharpened graph": {"graph-temperature": 0.1},
    "complete data, fedavg": _MASK | {"missing-ratio": 0.0},
}
CONDITIONS = ("complete", "image-only", "text-only")


def run_one(
    name: str, settings: dict[str, Any], seed: int, out: Path, cache: str
) -> dict[str, Any]:
    """Run one method with one seed, or go on with it, unless its result is there already."""
    folder = out / name.replace(" ", "-").replace(",", "") / f"seed-{seed}"
    result = folder / "result.json"
    if not result.exists() or json.loads(result.read_text())["status"] != "completed":
        from client_app.app import app as client_app
        from fedmvp_flwr.config import RunConfig
        from fedmvp_flwr.results import newest_round
        from fedmvp_flwr.simulation.in_process import run_in_process
        from server_app.app import app as server_app

        where = {"out-dir": str(folder), "cache-dir": cache}
        if newest_round(folder):
            where["resume"] = str(folder)
        config = RunConfig.from_run_config({**settings, "seed": seed, **where})
        run_in_process(server_app, client_app, config.to_run_config(), 10)
    return json.loads(result.read_text())


def main() -> None:
    """Run all methods and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "compare")
    parser.add_argument("--cache", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=JSON", help="for all methods")
    arguments = parser.parse_args()
    common = parse_settings(arguments.set)
    out = arguments.out.expanduser().absolute()
    for name in arguments.methods:
        results = [
            run_one(name, {**common, **METHODS[name]}, seed, out, arguments.cache)
            for seed in arguments.seeds
        ]
        print(table_row(name, results), flush=True)


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """Read settings given as KEY=JSON."""
    return {key: json.loads(value) for key, _, value in (pair.partition("=") for pair in pairs)}


def table_row(name: str, results: list[dict[str, Any]]) -> str:
    """Accuracies in %, mean and spread over the seeds, as a row in Markdown."""
    cells = [name]
    for key in ("accuracy", "accuracy-with-completion"):
        for condition in CONDITIONS:
            values = [100 * r[key][condition] for r in results if condition in r.get(key, {})]
            if values:
                spread = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
