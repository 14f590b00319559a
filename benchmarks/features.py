"""How long the frozen features of a whole data set take, and how long a second start with them.

Purpose: the figures of docs/performance.md for data sets of your own.
Command: python -m benchmarks.features settings.toml
         (run-config keys: the data and the two encoders; the cache folder is a temporary one)
Time:    that of the encoding.
Metric:  seconds by the clock and of the processor, imports and model loading included, largest
         resident memory, and bytes of the feature store. First and second start are processes of
         their own.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

_CHILD = "--child"


def encode_all(settings: Path, cache: Path) -> dict[str, float]:
    """Encode every sample of every split in this process; return what it cost."""
    began = time.perf_counter()
    from fedmvp_flwr.completion.pipeline import encode
    from fedmvp_flwr.completion.registry import frozen_models
    from fedmvp_flwr.completion.store import FeatureStore
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.data.sources.registry import load_dataset

    given = tomllib.loads(settings.read_text(encoding="utf-8"))
    config = RunConfig.from_run_config(given | {"completion": "none", "cache-dir": str(cache)})
    splits = load_dataset(config.data, cache).splits
    samples = [sample for split in splits.values() for sample in split]
    ready = time.perf_counter()
    with FeatureStore(cache) as store:
        models = frozen_models(config, "cpu")
        prepared = encode(samples, models, store)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "samples": len(prepared),
        "data set and imports, s": round(ready - began, 1),
        "features, s": round(time.perf_counter() - ready, 1),
        "processor, s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak, MiB": round(usage.ru_maxrss / 1024),
    }


def main() -> None:
    """Start both processes and print what they cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", type=Path)
    parser.add_argument(_CHILD, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        sys.stdout.write(json.dumps(encode_all(arguments.settings, arguments.child)))
        return
    with tempfile.TemporaryDirectory(prefix="fedmvp-features-") as folder:
        for name in ("first start", "second start"):
            command = [sys.executable, "-m", "benchmarks.features", str(arguments.settings)]
            began = time.perf_counter()
            done = subprocess.run(
                [*command, _CHILD, folder], check=True, stdout=subprocess.PIPE, text=True
            )
            values = json.loads(done.stdout)
            values["whole process, s"] = round(time.perf_counter() - began, 1)
            sys.stdout.write(f"{name}: {json.dumps(values)}\n")
            sys.stdout.flush()
        size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
        sys.stdout.write(f"disk: {size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
