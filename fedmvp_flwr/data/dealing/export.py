"""Write the parts of a data set as folders, as nodes of their own have them.

For trying a deployment out: each client's training samples with their holes, its held-out samples
and the class names become what `dataset='folder:PATH'` and `data-path` read.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import write_atomic
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import client_samples, split_dataset
from fedmvp_flwr.data.dealing.partition import Assignment

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CLASS_NAMES_FILE = "class-names.txt"


def export_parts(
    dataset: Dataset,
    config: RunConfig,
    num_clients: int,
    target: Path,
) -> list[Path]:
    """Write one folder per client, and the file of the class names beside them.

    Args:
        dataset: the whole data set.
        config: how it is dealt, and which holes are made.
        num_clients: number of folders.
        target: a folder that is absent or empty.

    Returns:
        The clients' folders.

    Raises:
        DataError: the target holds something already, the split cannot be made, or it leaves a
            client without training or held-out samples; nothing is written.
    """
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file. Name a folder that is absent or empty.")
    if target.exists() and any(target.iterdir()):
        raise DataError(f"{target} is not empty. Name another folder, or empty it.")
    broken = [name for name in dataset.class_names if re.search(r"[\t\r\n]", name)]
    if broken:
        raise DataError(
            f"The class {broken[0]!r} has a tab or a line break in its name, which a file of one "
            "class per line cannot hold. Rename it."
        )
    cache = cache_folder(config.run)
    _require_both_splits(split_dataset(dataset, config.data, config.run, num_clients, cache))
    folders = [target / f"node-{client}" for client in range(num_clients)]
    for client, folder in enumerate(folders):
        node = Node(client, num_clients, cache)
        samples = client_samples(dataset, node, config.data, config.missing, config.run)
        rows = _write(folder, "train", samples.train, dataset)
        rows += _write(folder, "test", samples.test, dataset)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in _with_columns(rows)]
        write_atomic(folder / "metadata.jsonl", "".join(lines).encode())
    names = "".join(
        f"{name}\t{' '.join(description.splitlines())}\n"
        for name, description in zip(dataset.class_names, dataset.class_descriptions, strict=True)
    )
    write_atomic(target / CLASS_NAMES_FILE, names.encode())
    return folders


def _require_both_splits(dealt: Assignment) -> None:
    """Refuse to deal a client no training or no held-out sample: nobody could read its folder."""
    for name, parts in (("training", dealt.train), ("held-out", dealt.test)):
        empty = [client for client, part in enumerate(parts) if not part]
        if empty:
            raise DataError(
                f"The clients {empty} (from 0) would get no {name} sample, and a folder needs both "
                f"splits. There are {sum(map(len, parts))} for {len(parts)} clients: use fewer "
                "clients or another partition, or hold out more (test-split='' and a larger "
                "test-fraction)."
            )


def _write(
    folder: Path, split: str, samples: Sequence[Sample], dataset: Dataset
) -> list[dict[str, str | None]]:
    """Write the images; return the rows of the metadata, in which holes are left out."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str | None]] = []
    for sample in samples:
        row: dict[str, str | None] = {
            "id": sample.key,
            "label": dataset.class_names[sample.label],
            "split": split,
        }
        if sample.image is not None:
            name = row["file_name"] = f"{split}/{_file_name(sample.key)}.png"
            sample.image.load().save(folder / name)
        if sample.text is not None:
            row["text"] = sample.text
        rows.append(row)
    return rows


def _with_columns(rows: list[dict[str, str | None]]) -> list[dict[str, str | None]]:
    """The rows with nulls for a modality that none of them has: a missing column is refused."""
    absent = [name for name in ("file_name", "text") if not any(name in row for row in rows)]
    return [row | dict.fromkeys(absent) for row in rows]


def _file_name(key: str) -> str:
    """The key, if any file system takes it for a name; otherwise what is safe of it and a hash."""
    if _SAFE.fullmatch(key):
        return key
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", key)[:40].strip("_")
    return f"{safe or 'sample'}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
