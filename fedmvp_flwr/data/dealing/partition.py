"""How one data set is dealt to the clients of a simulation: the partitions by name.

A new one is a function and a line in `PARTITIONS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fedmvp_flwr.base.choices import SMALLEST, Value, choose, number, text
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.data.dealing import by_label
from fedmvp_flwr.data.dealing.by_owner import Dealt, by_column, by_file


class Assignment(NamedTuple):
    """For each client the sorted indices of its training and of its held-out samples."""

    train: list[list[int]]
    test: list[list[int]]


@dataclass(frozen=True)
class Partition:
    """A way to deal samples.

    Attributes:
        deal: (training samples, held-out samples, value, number of clients, seed) -> who gets
            what; each training sample once, held-out samples as far as it settles them.
        value: what follows the name.
        slow: whether the outcome is worth remembering (flwr-datasets takes 3 s to import).
        by_column: whether the value is the column of the samples' owners.
    """

    deal: Callable[[Sequence[Sample], Sequence[Sample], Any, int, int], Dealt]
    value: Value | None = None
    slow: bool = False
    by_column: bool = False


def _labels(deal: Callable[[Sequence[int], Any, int, int], by_label.Parts]) -> Callable[..., Dealt]:
    """A partition that looks at the training labels alone."""

    def by_labels(
        train: Sequence[Sample], _: Sequence[Sample], value: object, clients: int, seed: int
    ) -> Dealt:
        return Dealt(deal([sample.label for sample in train], value, clients, seed), {})

    return by_labels


_EACH = Value("a whole number above 0", number(int, 1), default=2)

PARTITIONS: dict[str, Partition] = {
    "column": Partition(by_column, Value("a column", text), by_column=True),
    "dirichlet": Partition(
        _labels(by_label.dirichlet),
        Value("a number above 0", number(float, SMALLEST), default=0.1),
        slow=True,
    ),
    "file": Partition(by_file, Value("a path", text)),
    "iid": Partition(_labels(by_label.iid), slow=True),
    "pathological": Partition(_labels(by_label.pathological), _EACH),
    "shards": Partition(_labels(by_label.shards), _EACH),
}


def owner_column(partition: str) -> str:
    """The column of owners that the setting `partition` names; empty if it names none.

    Raises:
        ConfigError: there is no such partition.
    """
    chosen, value = choose("partition", partition, PARTITIONS)
    return str(value) if chosen.by_column else ""


def assign(
    train: Sequence[Sample],
    test: Sequence[Sample],
    partition: str,
    num_partitions: int,
    seed: int,
) -> Assignment:
    """Deal all samples to the clients.

    Held-out samples that the partition does not settle go to clients in proportion to their
    training labels.

    Args:
        train: training samples.
        test: held-out samples.
        partition: the setting.
        num_partitions: number of clients, at least 2.
        seed: the run's seed.

    Raises:
        ConfigError: there is no such partition.
        DataError: the samples cannot be dealt so.
    """
    chosen, value = choose("partition", partition, PARTITIONS)
    if num_partitions < 2:
        raise DataError(f"Federated training needs at least 2 clients, got {num_partitions}.")
    if num_partitions > len(train):
        raise DataError(
            f"{num_partitions} clients cannot share {len(train)} training samples. Use fewer "
            "clients (num-supernodes) or more samples (train-samples)."
        )
    parts, settled = chosen.deal(train, test, value, num_partitions, seed)
    open_ones = [index for index in range(len(test)) if index not in settled]
    dealt: list[list[int]] = [[] for _ in parts]
    if open_ones:
        labels = [test[index].label for index in open_ones]
        matched = matching_indices(labels, [s.label for s in train], parts, seed)
        dealt = [[open_ones[i] for i in part] for part in matched]
    for index, client in settled.items():
        dealt[client].append(index)
    return Assignment(parts, [sorted(part) for part in dealt])


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
