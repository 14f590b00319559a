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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.config import FREE_KEYS, RunConfig

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
# Figures after another number of rounds are others, whether the run is completed or to be gone on
# with: it evaluates after its last round.
_FREE = frozenset(FREE_KEYS) - {"num-server-rounds"}
_INSTEAD = "Choose another folder with --out, or remove that run."


def run_one(
    name: str, settings: dict[str, Any], seed: int, out: Path, cache: str
) -> dict[str, Any]:
    """Run one method with one seed, or go on with it, unless its result is there already.

    Raises:
        CheckpointError: the checkpoints of an interrupted run cannot be read.
        ConfigError: a setting is wrong, or the folder holds a run of other settings.
        DataError: the wanted probe file cannot be read.
    """
    folder = run_folder(name, seed, out)
    where = {"out-dir": str(folder), "cache-dir": cache}
    if RunFolder(folder).newest_round():
        where["resume"] = str(folder)
    config = RunConfig.from_run_config({**settings, "seed": seed, **where})
    require_same_settings(config, folder)
    if not RunFolder(folder).completed:
        from client_app.app import app as client_app
        from fedmvp_flwr.simulation.in_process import run_in_process
        from server_app.app import app as server_app

        run_in_process(server_app, client_app, config.to_run_config(), 10)
    return RunFolder(folder).read_result() or {}


def run_folder(name: str, seed: int, out: Path) -> Path:
    """Folder of one method's run with one seed."""
    return out / name.replace(" ", "-").replace(",", "") / f"seed-{seed}"


def require_same_runs(
    runs: Mapping[str, Mapping[str, Any]], seeds: Iterable[int], out: Path, *, probe: bool = True
) -> None:
    """Look at the folders of all runs before the first one starts.

    Args:
        runs: settings of each method.
        seeds: of the runs of each method.
        out: folder of the experiment's results.
        probe: as for `require_same_settings`.

    Raises:
        CheckpointError: the checkpoints of an interrupted run cannot be read.
        ConfigError: a setting is wrong, or a folder holds a run of other settings.
        DataError: the wanted probe file cannot be read.
    """
    for seed in seeds:
        for name, settings in runs.items():
            config = RunConfig.from_run_config({**settings, "seed": seed})
            require_same_settings(config, run_folder(name, seed, out), probe=probe)


def require_same_settings(config: RunConfig, folder: Path, *, probe: bool = True) -> None:
    """Refuse a folder with a run, completed or interrupted, of other settings than the wanted ones.

    Args:
        config: the wanted settings.
        folder: of the run; it need not be there.
        probe: whether the content of a probe file counts, too.

    Raises:
        CheckpointError: the checkpoints of an interrupted run cannot be read.
        ConfigError: names the first setting that differs, with both values.
        DataError: the wanted probe file cannot be read.
    """
    if RunFolder(folder).completed:
        result = RunFolder(folder).read_result() or {}
        before = _settings_of(result, folder)
        digest = result.get("hashes", {}).get("probe")
        free = _FREE | {"device"}
    elif RunFolder(folder).newest_round():
        from fedmvp_flwr.server.resume import load_resume_point

        state = load_resume_point(folder).state
        before, digest, free = state.config, state.probe, _FREE
    else:
        return
    now = config.to_run_config()
    for key in (key for key in {**now, **before} if key not in free):
        if before.get(key) != now.get(key):
            raise _refusal(folder, key, before.get(key), now.get(key))
    if probe and config.needs_probe and config.probe.file:
        from fedmvp_flwr.server.probe_source import load_probe_file

        wanted = load_probe_file(config.probe).digest
        if digest != wanted:
            raise _refusal(folder, "the content of the probe file", digest, wanted)


def main() -> None:
    """Run all methods and print the table.

    Raises:
        CheckpointError: the checkpoints of an interrupted run cannot be read.
        ConfigError: a setting is wrong, or a folder holds a run of other settings.
        DataError: the wanted probe file cannot be read.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "compare")
    parser.add_argument("--cache", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="KEY=JSON", help="for all methods"
    )
    arguments = parser.parse_args()
    common = parse_settings(arguments.set)
    out = arguments.out.expanduser().absolute()
    runs = {name: {**common, **METHODS[name]} for name in arguments.methods}
    require_same_runs(runs, arguments.seeds, out)
    for name, settings in runs.items():
        results = [run_one(name, settings, seed, out, arguments.cache) for seed in arguments.seeds]
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


def _settings_of(result: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The settings that a result holds; a key that an earlier version lacked has its default."""
    try:
        if not isinstance(result.get("config"), dict):
            raise ConfigError("They are not there.")
        return RunConfig.from_run_config(result["config"]).to_run_config()
    except ConfigError as error:
        raise ConfigError(
            f"{folder} holds a run whose settings cannot be compared with the wanted ones. {error} "
            f"{_INSTEAD}"
        ) from error


def _refusal(folder: Path, key: str, before: object, now: object) -> ConfigError:
    return ConfigError(
        f"{folder} holds a run of other settings: there, {key} = {_show(before)}, now "
        f"{_show(now)}. {_INSTEAD}"
    )


def _show(value: object) -> str:
    return "(not set)" if value is None else repr(value)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
