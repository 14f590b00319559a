"""How one data set is dealt to the clients of a simulation (flwr-datasets' partitioners)."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.seeds import numpy_generator, seed_for
from fedmvp_flwr.config import RunConfig

_SMALLEST_CLIENT = 5  # samples; flwr-datasets draws again below it
_NUMPY_SEED_RANGE = 2**32


def partition_indices(
    labels: Sequence[int], config: RunConfig, num_partitions: int
) -> list[list[int]]:
    """Deal the training samples to the clients by their labels or by chance alone.

    Args:
        labels: label of each sample.
        config: `partition` (not by column or file, see `fedmvp_flwr.data.dealing.assignment`),
            `dirichlet-alpha`, `classes-per-client` and `seed` decide.
        num_partitions: number of clients, at least 2.

    Returns:
        For each client the sorted indices of its samples; every sample is dealt once.

    Raises:
        DataError: fewer than 2 clients, more clients than samples, or a skew so strong that
            some client would get next to nothing, or some class nobody.
    """
    require_clients(num_partitions, len(labels))
    if config.data.partition == "pathological":
        return _pathological(labels, config, num_partitions)
    if config.data.partition == "shards":
        return _shards(labels, config, num_partitions)
    from datasets import Dataset
    from flwr_datasets.partitioner import DirichletPartitioner, IidPartitioner, Partitioner

    table = Dataset.from_dict({"index": list(range(len(labels))), "label": list(labels)})
    partitioner: Partitioner
    if config.data.partition == "iid":
        table = table.shuffle(seed=_numpy_seed(config, "shuffle"))
        partitioner = IidPartitioner(num_partitions)
        remedy = "Use fewer clients."
    else:
        partitioner = DirichletPartitioner(
            num_partitions,
            partition_by="label",
            alpha=config.data.dirichlet_alpha,
            min_partition_size=min(_SMALLEST_CLIENT, len(labels) // num_partitions),
            seed=_numpy_seed(config, "dirichlet"),
        )
        remedy = (
            f"dirichlet-alpha={config.data.dirichlet_alpha} cannot give each of {num_partitions} "
            f"clients at least {_SMALLEST_CLIENT} of {len(labels)} samples. Use a larger alpha "
            "or fewer clients."
        )
    partitioner.dataset = table
    try:
        with warnings.catch_warnings():  # one per attempt; the error below says it all
            warnings.simplefilter("ignore")
            parts = [partitioner.load_partition(i)["index"] for i in range(num_partitions)]
    except ValueError as error:
        raise DataError(remedy) from error
    if not all(len(part) for part in parts):
        raise DataError(remedy)
    return [sorted(part) for part in parts]


def require_clients(num_partitions: int, num_samples: int) -> None:
    """Raise a DataError unless there are 2 clients at least, and a sample for each."""
    if num_partitions < 2:
        raise DataError(f"Federated training needs at least 2 clients, got {num_partitions}.")
    if num_partitions > num_samples:
        raise DataError(
            f"{num_partitions} clients cannot share {num_samples} training samples. Use fewer "
            "clients (num-supernodes) or more samples (train-samples)."
        )


def _shards(labels: Sequence[int], config: RunConfig, num_partitions: int) -> list[list[int]]:
    # flwr-datasets' ShardPartitioner cuts pieces of one size, so their number is another one than
    # asked for: too few for some clients, or samples that belong to nobody.
    pieces = num_partitions * config.data.classes_per_client
    if pieces > len(labels):
        raise DataError(
            f"classes-per-client={config.data.classes_per_client} shards for each of "
            f"{num_partitions} clients are too many for {len(labels)} samples. Use fewer."
        )
    shards = np.array_split(np.argsort(labels, kind="stable"), pieces)
    order = numpy_generator(config.run.seed, "partition", "shards").permutation(pieces)
    return [
        sorted(np.concatenate([shards[piece] for piece in own]).tolist())
        for own in order.reshape(num_partitions, config.data.classes_per_client)
    ]


def _pathological(labels: Sequence[int], config: RunConfig, num_partitions: int) -> list[list[int]]:
    # flwr-datasets' PathologicalPartitioner may leave classes, and so samples, to nobody.
    classes = sorted(set(labels))
    slots = num_partitions * config.data.classes_per_client
    if slots < len(classes) or config.data.classes_per_client > len(classes):
        low = math.ceil(len(classes) / num_partitions)
        raise DataError(
            f"classes-per-client={config.data.classes_per_client} does not deal {len(classes)} "
            f"classes to {num_partitions} clients: choose {low} to {len(classes)}."
        )
    generator = numpy_generator(config.run.seed, "partition", "pathological")
    order = generator.permutation(classes)
    owners: dict[int, list[int]] = {label: [] for label in classes}
    by_class: dict[int, list[int]] = {label: [] for label in classes}
    for index, label in enumerate(labels):
        by_class[label].append(index)
    for slot in range(slots):  # neighbouring slots hold different classes
        owners[int(order[slot % len(classes)])].append(slot // config.data.classes_per_client)
    parts: list[list[int]] = [[] for _ in range(num_partitions)]
    for label, clients in owners.items():
        members = generator.permutation(by_class[label])
        if len(members) < len(clients):
            raise DataError(
                f"Class {label} has {len(members)} samples for {len(clients)} clients. Lower "
                "classes-per-client."
            )
        for client, share in zip(clients, np.array_split(members, len(clients)), strict=True):
            parts[client] += share.tolist()
    return [sorted(part) for part in parts]


def matching_indices(
    labels: Sequence[int],
    train_labels: Sequence[int],
    partitions: Sequence[Sequence[int]],
    seed: int,
) -> list[list[int]]:
    """Deal held-out samples to the clients in the proportions of their training labels.

    Args:
        labels: label of each held-out sample.
        train_labels: label of each training sample.
        partitions: the clients' indices into `train_labels`.
        seed: the run's seed.

    Returns:
        For each client the sorted indices of its held-out samples; every sample is dealt once.
    """
    num_classes = 1 + max(*labels, *train_labels)
    held = np.zeros((num_classes, len(partitions)))
    for client, part in enumerate(partitions):
        held[:, client] = np.bincount(
            [train_labels[index] for index in part], minlength=num_classes
        )
    held[held.sum(axis=1) == 0] = 1.0  # a class nobody trains on is dealt evenly
    shares = held / held.sum(axis=1, keepdims=True)
    generator = numpy_generator(seed, "partition", "held-out")
    dealt: list[list[int]] = [[] for _ in partitions]
    for index, label in enumerate(labels):
        dealt[generator.choice(len(partitions), p=shares[label])].append(index)
    return dealt


def _numpy_seed(config: RunConfig, purpose: str) -> int:
    return seed_for(config.run.seed, "partition", purpose) % _NUMPY_SEED_RANGE
