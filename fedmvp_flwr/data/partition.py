"""How one data set is dealt to the clients of a simulation (flwr-datasets' partitioners)."""

import warnings
from collections.abc import Sequence

import numpy as np

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.seeds import numpy_generator, seed_for

_SMALLEST_CLIENT = 5  # samples; flwr-datasets draws again below it
_NUMPY_SEED_RANGE = 2**32


def partition_indices(
    labels: Sequence[int], config: RunConfig, num_partitions: int
) -> list[list[int]]:
    """Deal the training samples to the clients.

    Args:
        labels: label of each sample.
        config: `partition`, `dirichlet-alpha` and `seed` decide.
        num_partitions: number of clients, at least 2.

    Returns:
        For each client the sorted indices of its samples; every sample is dealt once.

    Raises:
        DataError: fewer than 2 clients, more clients than samples, or a skew so strong that
            some client would get next to nothing.
    """
    if num_partitions < 2:
        raise DataError(f"Federated training needs at least 2 clients, got {num_partitions}.")
    if num_partitions > len(labels):
        raise DataError(
            f"{num_partitions} clients cannot share {len(labels)} training samples. Use fewer "
            "clients (num-supernodes) or more samples (train-samples)."
        )
    from datasets import Dataset
    from flwr_datasets.partitioner import DirichletPartitioner, IidPartitioner, Partitioner

    table = Dataset.from_dict({"index": list(range(len(labels))), "label": list(labels)})
    partitioner: Partitioner
    if config.partition == "iid":
        table = table.shuffle(seed=_numpy_seed(config, "shuffle"))
        partitioner = IidPartitioner(num_partitions)
    else:
        partitioner = DirichletPartitioner(
            num_partitions,
            partition_by="label",
            alpha=config.dirichlet_alpha,
            min_partition_size=min(_SMALLEST_CLIENT, len(labels) // num_partitions),
            seed=_numpy_seed(config, "dirichlet"),
        )
    partitioner.dataset = table
    try:
        with warnings.catch_warnings():  # one per attempt; the error below says it all
            warnings.simplefilter("ignore")
            parts = [partitioner.load_partition(i)["index"] for i in range(num_partitions)]
    except ValueError as error:
        raise DataError(
            f"dirichlet-alpha={config.dirichlet_alpha} cannot give each of {num_partitions} "
            f"clients at least {_SMALLEST_CLIENT} of {len(labels)} samples. Use a larger alpha "
            "or fewer clients."
        ) from error
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
    return seed_for(config.seed, "partition", purpose) % _NUMPY_SEED_RANGE
