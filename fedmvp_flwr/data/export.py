"""Write the parts of a data set as folders, as nodes of their own have them.

For trying a deployment out: each client's training samples with their holes, its held-out samples
and the class names become what `dataset='folder:PATH'` and `data-path` read.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from fedmvp_flwr.client_samples import client_samples
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.records import write_atomic
from fedmvp_flwr.data.samples import Dataset, Sample
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.node import Node

CLASS_NAMES_FILE = "class-names.txt"


def export_parts(
    dataset: Dataset,
    config: RunConfig,
    num_clients: int,
    target: Path,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> list[Path]:
    """Write one folder per client, and the file of the class names beside them.

    Args:
        dataset: the whole data set.
        config: how it is dealt, and which holes are made.
        num_clients: number of folders.
        target: a folder that is absent or empty.
        on_progress: called with (stage, done, total).

    Returns:
        The clients' folders.

    Raises:
        DataError: the target holds something already, or the split cannot be made.
    """
    if target.exists() and any(target.iterdir()):
        raise DataError(f"{target} is not empty. Name another folder, or empty it.")
    folders = [target / f"node-{client}" for client in range(num_clients)]
    for client, folder in enumerate(folders):
        node = Node(client, num_clients, target / ".records")
        samples = client_samples(dataset, config, node)
        lines = _write(folder, "train", samples.train, dataset)
        lines += _write(folder, "test", samples.test, dataset)
        write_atomic(folder / "metadata.jsonl", "".join(lines).encode())
        on_progress("folders", client + 1, num_clients)
    pairs = zip(dataset.class_names, dataset.class_descriptions, strict=True)
    names = "".join(f"{name}\t{description}\n" for name, description in pairs)
    write_atomic(target / CLASS_NAMES_FILE, names.encode())
    return folders


def _write(folder: Path, split: str, samples: Sequence[Sample], dataset: Dataset) -> list[str]:
    (folder / split).mkdir(parents=True, exist_ok=True)
    lines = []
    for sample in samples:
        row = {"id": sample.key, "label": dataset.class_names[sample.label], "split": split}
        if sample.image is not None:
            row["file_name"] = f"{split}/{sample.key}.png"
            sample.image.load().save(folder / row["file_name"])
        if sample.text is not None:
            row["text"] = sample.text
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return lines
