"""Training samples dealt by their labels, or by chance alone, each once.

The functions take the label of each sample, the value that the setting gives along, the number of
clients and the run's seed. They return for each client the sorted indices of its samples, and raise
a DataError where some client would get next to nothing, or some class nobody.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.seeds import numpy_generator, seed_for

_SMALLEST_CLIENT = 5  # samples; flwr-datasets draws again below it
_NUMPY_SEED_RANGE = 2**32

Parts = list[list[int]]


def iid(labels: Sequence[int], _: None, clients: int, seed: int) -> Parts:
    """At random (flwr-datasets)."""
    from flwr_datasets.partitioner import IidPartitioner

    table = _table(labels).shuffle(seed=_numpy_seed(seed, "shuffle"))
    return _load(IidPartitioner(clients), table, clients, "Use fewer clients.")


def dirichlet(labels: Sequence[int], alpha: float, clients: int, seed: int) -> Parts:
    """With skewed shares of the classes (flwr-datasets); a smaller alpha is more skewed."""
    from flwr_datasets.partitioner import DirichletPartitioner

    partitioner = DirichletPartitioner(
        clients,
        partition_by="label",
        alpha=alpha,
        min_partition_size=min(_SMALLEST_CLIENT, len(labels) // clients),
        seed=_numpy_seed(seed, "dirichlet"),
    )
    remedy = (
        f"partition='dirichlet:{alpha}' cannot give each of {clients} clients at least "
        f"{_SMALLEST_CLIENT} of {len(labels)} samples. Use a larger alpha or fewer clients."
    )
    return _load(partitioner, _table(labels), clients, remedy)


def _table(labels: Sequence[int]) -> Any:  # noqa: ANN401 - a datasets.Dataset
    from datasets import Dataset

    return Dataset.from_dict({"index": list(range(len(labels))), "label": list(labels)})


def _load(partitioner: Any, table: Any, clients: int, remedy: str) -> Parts:  # noqa: ANN401
    partitioner.dataset = table
    try:
        with warnings.catch_warnings():  # one per attempt; the error below says it all
            warnings.simplefilter("ignore")
            parts = [partitioner.load_partition(client)["index"] for client in range(clients)]
    except ValueError as error:
        raise DataError(remedy) from error
    if not all(len(part) for part in parts):
        raise DataError(remedy)
    return [sorted(part) for part in parts]


def shards(labels: Sequence[int], each: int, clients: int, seed: int) -> Parts:
    """Sorted by label and cut in pieces, so many for each client."""
    # flwr-datasets' ShardPartitioner cuts pieces of one size, so their number is another one than
    # asked for: too few for some clients, or samples that belong to nobody.
    pieces = clients * each
    if pieces > len(labels):
        raise DataError(
            f"partition='shards:{each}': {each} shards for each of {clients} clients are too many "
            f"for {len(labels)} samples. Use fewer."
        )
    cut = np.array_split(np.argsort(labels, kind="stable"), pieces)
    order = numpy_generator(seed, "partition", "shards").permutation(pieces)
    return [
        sorted(np.concatenate([cut[piece] for piece in own]).tolist())
        for own in order.reshape(clients, each)
    ]


def pathological(labels: Sequence[int], each: int, clients: int, seed: int) -> Parts:
    """Exactly so many classes for each client."""
    # flwr-datasets' PathologicalPartitioner may leave classes, and so samples, to nobody.
    classes = sorted(set(labels))
    slots = clients * each
    if slots < len(classes) or each > len(classes):
        low = math.ceil(len(classes) / clients)
        raise DataError(
            f"partition='pathological:{each}' does not deal {len(classes)} classes to {clients} "
            f"clients: choose {low} to {len(classes)}."
        )
    generator = numpy_generator(seed, "partition", "pathological")
    order = generator.permutation(classes)
    owners: dict[int, list[int]] = {label: [] for label in classes}
    by_class: dict[int, list[int]] = {label: [] for label in classes}
    for index, label in enumerate(labels):
        by_class[label].append(index)
    for slot in range(slots):  # neighbouring slots hold different classes
        owners[int(order[slot % len(classes)])].append(slot // each)
    parts: Parts = [[] for _ in range(clients)]
    for label, own in owners.items():
        members = generator.permutation(by_class[label])
        if len(members) < len(own):
            raise DataError(
                f"Class {label} has {len(members)} samples for {len(own)} clients. Give fewer "
                f"classes to each than partition='pathological:{each}'."
            )
        for client, share in zip(own, np.array_split(members, len(own)), strict=True):
            parts[client] += share.tolist()
    return [sorted(part) for part in parts]


def _numpy_seed(seed: int, purpose: str) -> int:
    return seed_for(seed, "partition", purpose) % _NUMPY_SEED_RANGE
