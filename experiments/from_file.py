"""Run the methods of an experiment file on the same samples and holes, over several seeds.

Purpose: experiments on data and models of one's own, whose paths come from outside the repository.
Command: python -m experiments.from_file experiments/fashion30.toml --path data=/my/fashion30 ...
Time:    see the experiment file.
Metric:  accuracy on the test split (complete, image-only, text-only), mean and spread over seeds.

An experiment file has a table `settings` of run-config keys for all methods, a table `methods` of
further ones by method, and perhaps `probe`: a labelled split that the server holds, of which it
makes its probe. `{name}` in a value is the path given by `--path name=PATH`, or else by the
environment variable FEDMVP_NAME.
"""

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.compare import ROOT, parse_settings, require_same_runs, run_one, table_row
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config import RunConfig

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9-]*)\}")
_TABLES = {"settings", "methods", "probe"}
PROBE_FILE = "file:{probe}"  # filled by the runner: the probe made of the file's `probe` table
_PROBE = "probe.safetensors"  # that probe, in the folder of the experiment's results


def read_experiment(path: Path) -> dict[str, Any]:
    """Read an experiment file.

    Raises:
        ConfigError: it cannot be read, or has other tables than it should.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from error
    if not {"settings", "methods"} <= set(tables) <= _TABLES:
        raise ConfigError(f"{path}: has the tables {sorted(tables)}, expected {sorted(_TABLES)}.")
    return tables


def fill(values: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Put the paths in the place of their `{name}`.

    Raises:
        ConfigError: names every path that is not given, or leads nowhere.
    """
    wanted = {
        name
        for value in values.values()
        if isinstance(value, str) and value != PROBE_FILE
        for name in _PLACEHOLDER.findall(value)
    }
    found = {name: _path(name, paths) for name in wanted}
    missing = sorted(name for name, place in found.items() if not place or not place.exists())
    if missing:
        hints = ", ".join(f"{name} ({found[name] or 'not given'})" for name in missing)
        raise ConfigError(
            f"No such path: {hints}. Give each by --path {missing[0]}=PATH or by the environment "
            f"variable {_variable(missing[0])}; the head of the experiment file says what it is."
        )

    def filled(value: Any) -> Any:  # noqa: ANN401 - any TOML value
        if not isinstance(value, str) or value == PROBE_FILE:
            return value
        return _PLACEHOLDER.sub(lambda match: str(found[match[1]]), value)

    return {key: filled(value) for key, value in values.items()}


def save_public_probe(settings: Mapping[str, Any], table: Mapping[str, Any], out: Path) -> Path:
    """Make the probe of pairs of a public split, some of each class, and save it.

    Args:
        settings: run-config of the experiment.
        table: `split` and `per-class`.
        out: folder of the experiment's results.

    Raises:
        ConfigError: the table lacks one of them, or the data have no such split.
    """
    from fedmvp_flwr.base.devices import resolve_device
    from fedmvp_flwr.base.seeds import seed_for
    from fedmvp_flwr.completion.pipeline import encode
    from fedmvp_flwr.completion.store import FeatureStore
    from fedmvp_flwr.config.folders import cache_folder
    from fedmvp_flwr.data.sources.registry import load_dataset
    from fedmvp_flwr.foundation.bundle import FoundationModels
    from fedmvp_flwr.server.probe import Probe, save_probe

    if missing := sorted({"split", "per-class"} - set(table)):
        raise ConfigError(f"The table [probe] lacks {missing}: it needs `split` and `per-class`.")
    config = RunConfig.from_run_config(dict(settings))
    dataset = load_dataset(config.data, cache_folder(config.run))
    if table["split"] not in dataset.splits:
        raise ConfigError(
            f"The table [probe] names split = {table['split']!r}, but {config.data.dataset} has "
            f"the splits {', '.join(dataset.splits)}."
        )
    by_class: dict[int, list[Any]] = {}
    pairs = [sample for sample in dataset.splits[table["split"]] if sample.complete]
    for sample in sorted(pairs, key=lambda s: seed_for(config.data.data_seed, "probe", s.key)):
        by_class.setdefault(sample.label, []).append(sample)
    chosen = [s for _, own in sorted(by_class.items()) for s in own[: table["per-class"]]]
    models = FoundationModels(config.models, str(resolve_device(config.run.device)))
    with FeatureStore(cache_folder(config.run)) as store:
        prepared = encode(chosen, models, store)
    path = out / _PROBE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_probe(path, Probe(prepared.real))
    return path


def main() -> None:
    """Run the chosen methods and print the table.

    Raises:
        CheckpointError: the checkpoints of an interrupted run cannot be read.
        ConfigError: the experiment file or a setting is wrong, or a folder holds a run of other
            settings.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--path", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--out", type=Path, help="default: runs/NAME of the file")
    parser.add_argument("--cache", default="")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="default: all of the file")
    parser.add_argument(
        "--test-split",
        help="another split to test on, for trying things; takes an --out of its own",
    )
    parser.add_argument(
        "--set", nargs="*", action="extend", default=[], metavar="KEY=JSON", help="for all methods"
    )
    arguments = parser.parse_args()
    tables = read_experiment(arguments.file)
    paths = {name: path for name, _, path in (item.partition("=") for item in arguments.path)}
    out = (arguments.out or ROOT / "runs" / arguments.file.stem).expanduser().absolute()
    cache = str(Path(arguments.cache).expanduser().absolute()) if arguments.cache else ""
    common = tables["settings"] | ({"cache-dir": cache} if cache else {})
    common |= parse_settings(arguments.set)
    if arguments.test_split:
        common["test-split"] = arguments.test_split
    names = arguments.methods or list(tables["methods"])
    if unknown := sorted(set(names) - set(tables["methods"])):
        raise ConfigError(f"{arguments.file} has no method {unknown}: {list(tables['methods'])}.")
    runs = {name: fill(common | tables["methods"][name], paths) for name in names}
    needs_probe = [s for s in runs.values() if s.get("probe-source") == PROBE_FILE]
    if needs_probe and "probe" not in tables:
        raise ConfigError(
            f"{arguments.file}: a method has probe-source = {PROBE_FILE!r}, which needs a table "
            "[probe] with `split` and `per-class`."
        )
    for settings in needs_probe:
        settings["probe-source"] = f"file:{out / _PROBE}"
    require_same_runs(runs, arguments.seeds, out, probe=not needs_probe)
    if needs_probe:
        save_public_probe(fill(common, paths), tables["probe"], out)
        require_same_runs(runs, arguments.seeds, out)
    for name, settings in runs.items():
        results = [run_one(name, settings, seed, out, cache) for seed in arguments.seeds]
        print(table_row(name, results), flush=True)


def _path(name: str, paths: Mapping[str, str]) -> Path | None:
    text = paths.get(name) or os.environ.get(_variable(name), "")
    return Path(text).expanduser().absolute() if text else None


def _variable(name: str) -> str:
    return f"FEDMVP_{name.upper().replace('-', '_')}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
