"""What stands in the results of a run: sums over the clients, hashes, the model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.tensor_file import save_tensors
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.protocol.summary import Completions, Summary


def total_completions(summaries: Sequence[Summary]) -> dict[str, dict[str, int]]:
    """Sum of the clients' completions by modality: made, reused, rejected by the gate."""
    totals: dict[str, dict[str, int]] = {}
    for summary in summaries:
        for modality, counts in summary.completions.items():
            total = totals.setdefault(modality, dict.fromkeys(Completions.model_fields, 0))
            for name in total:
                total[name] += getattr(counts, name)
    return totals


def code_hash() -> str:
    """Hex SHA-256 of the library's own source files."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def run_hashes(summaries: Sequence[Summary], probe: str | None) -> dict[str, str]:
    """Hashes of split, masks (of training and test samples), probe and code."""
    hashes = {
        "split": record_hash({"splits": sorted({s.hashes["split"] for s in summaries})}),
        "masks": record_hash(
            {
                "masks": [s.hashes["mask"] for s in summaries],
                "test": sorted({s.hashes.get("test-mask", "") for s in summaries}),
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
