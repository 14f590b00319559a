"""The embedded data as folders of three nodes, and settings that train on them in seconds."""

from pathlib import Path

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.dealing.export import CLASS_NAMES_FILE, export_parts
from fedmvp_flwr.data.sources.registry import load_dataset

NODES = 3
_DATA = RunConfig.of(train_samples=72, test_samples=36, partition="iid", missing_ratio=0.5)


def export(target: Path) -> list[Path]:
    """Write the nodes' folders; return them."""
    dataset = load_dataset(_DATA.data, cache_folder(_DATA.run))
    return export_parts(dataset, _DATA, NODES, target)


def settings(root: Path, folders: list[Path], **changes: object) -> dict[str, object]:
    """The run-config of a small run whose server owns class names and nothing else.

    Args:
        root: folder of the deployment.
        folders: of `export`.
        **changes: other values, by field name.
    """
    values: dict[str, object] = {
        "dataset": "nodes",
        "class-names-file": str(folders[0].parent / CLASS_NAMES_FILE),
        "out-dir": str(root / "out"),
        "cache-dir": str(root / "cache-server"),
        "num-server-rounds": 3,
        "evaluate-every": 3,
        "fraction-train": 1.0,
        "min-nodes": 2,
        "min-replies": 2,
        "round-retries": 3,
        "local-epochs": 1,
        "probe-per-class": 2,
        "image-generator": "diffusers:embedded?steps=2",
        "model-width": 32,
    }
    return values | {name.replace("_", "-"): value for name, value in changes.items()}
