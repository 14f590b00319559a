"""What a run leaves behind: `result.json`, `model.safetensors`, versions and hashes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedmvp_flwr.base.errors import ConfigError, ModelError
from fedmvp_flwr.base.files import expanded, record_hash
from fedmvp_flwr.config import RunConfig

if TYPE_CHECKING:
    from torch import Tensor

CURVES = "tensorboard/events.out.tfevents.*"
"""Files of TensorBoard's curves, in a run's folder."""

_RESULT = "result.json"
_ROUNDS = "checkpoints/round-*.safetensors"
_RESULT_FILES = (
    "metrics.jsonl",
    _RESULT,
    "model.safetensors",
    "report.html",
    "probe.safetensors",
    _ROUNDS,
    "checkpoints/best-*.safetensors",
    CURVES,
    "completions/index.json",
    "completions/??-original.png",
    "completions/??-generated.png",
)
_SHOWN = 12  # characters of a fingerprint


def total_completions(summaries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum of the clients' completions by modality: made, reused, rejected by the gate."""
    totals: dict[str, dict[str, int]] = {}
    for summary in summaries:
        for modality, counts in summary["completions"].items():
            total = totals.setdefault(modality, dict.fromkeys(counts, 0))
            for name, count in counts.items():
                total[name] += count
    return totals


def require_same_encoders(
    summaries: Sequence[Mapping[str, Any]], own: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse clients whose frozen encoders are not those of the server.

    Args:
        summaries: what the clients tell; each has "partition-id" and "models".
        own: the server's models, as `FoundationModels.identities` names them.

    Raises:
        ModelError: names every client that has others; its features would mean something else.
    """
    problems = []
    for summary in summaries:
        for key in ("image-encoder", "text-encoder"):
            theirs, ours = summary["models"][key]["fingerprint"], own[key]["fingerprint"]
            if theirs != ours:
                problems.append(
                    f"client {summary['partition-id']} has another {key} ({theirs[:_SHOWN]}, here "
                    f"{ours[:_SHOWN]})"
                )
    if problems:
        raise ModelError(
            f"All nodes need the same frozen encoders, but {'; '.join(problems)}. Compare the "
            "model folders (name, weights, tokenizer, library settings)."
        )


def code_hash() -> str:
    """Hex SHA-256 of the library's own source files."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
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
    path: Path, state: "dict[str, Tensor]", config: RunConfig, class_names: Sequence[str]
) -> None:
    """Write the global model with all that is needed to build it again."""
    # The command `fedmvp simulate` looks at results for as long as the run takes, without torch.
    from fedmvp_flwr.base.tensor_file import save_tensors

    metadata = {"config": config.to_run_config(), "class-names": list(class_names)}
    save_tensors(path, state, metadata)


def is_completed(out: Path) -> bool:
    """Whether the run in a folder was completed, as its `result.json` says."""
    try:
        result = json.loads((out / _RESULT).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(result, dict) and result.get("status") == "completed"


def newest_round(out: Path) -> Path | None:
    """The newest checkpoint of a round in a run's folder, if any round was finished there."""
    return max(out.glob(_ROUNDS), default=None)


def require_overwritable(out: Path) -> None:
    """Refuse to write a new run over one that was interrupted and can be gone on with.

    Args:
        out: folder of the results; it need not be there.

    Raises:
        ConfigError: it holds finished rounds of a run that was not completed, or lies in the home
            folder of nobody.
    """
    folder = expanded(out, ConfigError, "out-dir").absolute()
    newest = newest_round(folder)
    if newest is None or is_completed(folder):
        return
    raise ConfigError(
        f"out-dir='{folder}' holds a run that was not completed; its newest checkpoint, "
        f'{newest.name}, would be deleted. Go on with that run: resume = "{folder}" in the '
        f"run-config, or `fedmvp simulate --resume {folder}`. For a new run, choose another "
        "out-dir, or remove that folder."
    )


def clear_results(out: Path) -> None:
    """Remove what an earlier run left in its folder, so that the two cannot be mixed up.

    Only files that a run writes are removed: the folder may be the user's own.
    """
    for pattern in _RESULT_FILES:
        for path in out.glob(pattern):
            path.unlink(missing_ok=True)
