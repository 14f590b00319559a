"""What a run leaves behind: `result.json`, `model.safetensors`, versions and hashes."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from fedmvp_flwr.aggregation.checkpoint import save_tensors
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.records import record_hash, write_atomic

_RESULT_FILES = (
    "metrics.jsonl",
    "result.json",
    "model.safetensors",
    "report.html",
    "probe.safetensors",
    "checkpoints/round-*.safetensors",
    "checkpoints/best-*.safetensors",
    "completions/index.json",
    "completions/??-original.png",
    "completions/??-generated.png",
)
_PACKAGES = ("flwr", "torch", "ray", "transformers", "diffusers", "open_clip_torch", "numpy")


def total_completions(summaries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum of the clients' completions by modality: made, reused, rejected by the gate."""
    totals: dict[str, dict[str, int]] = {}
    for summary in summaries:
        for modality, counts in summary["completions"].items():
            total = totals.setdefault(modality, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                total[name] += count
    return totals


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide about a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_hash() -> str:
    """Hex SHA-256 of the library's own source files."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run_hashes(summaries: Sequence[Mapping[str, Any]], probe: str | None) -> dict[str, str]:
    """Hashes of split, masks (of training and test samples), probe and code."""
    hashes = {
        "split": record_hash({"splits": sorted({s["hashes"]["split"] for s in summaries})}),
        "masks": record_hash(
            {
                "masks": [s["hashes"]["mask"] for s in summaries],
                "test": sorted({s["hashes"].get("test-mask", "") for s in summaries}),
            }
        ),
        "code": code_hash(),
    }
    return hashes | ({"probe": probe} if probe else {})


def save_model(
    path: Path, state: dict[str, Tensor], config: RunConfig, class_names: Sequence[str]
) -> None:
    """Write the global model with all that is needed to build it again."""
    metadata = {"config": config.to_run_config(), "class-names": list(class_names)}
    save_tensors(path, state, metadata)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write readable JSON atomically."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode())


def clear_results(out: Path) -> None:
    """Remove what an earlier run left in its folder, so that the two cannot be mixed up.

    Only files that a run writes are removed: the folder may be the user's own.
    """
    for pattern in _RESULT_FILES:
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)
