"""Which samples a client owns, and which holes they have: dealt, masked and recorded."""

from dataclasses import dataclass
from pathlib import Path

from fedmvp_flwr.base.files import save_record
from fedmvp_flwr.base.samples import VALIDATION, Dataset, Sample
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.missing import MissingSettings
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.data.dealing.dealt import remembered_split
from fedmvp_flwr.data.dealing.missing import real_mask
from fedmvp_flwr.data.dealing.partition import Assignment
from fedmvp_flwr.data.dealing.patterns import held_out_mask, training_mask, whole_test_mask


@dataclass(frozen=True)
class ClientSamples:
    """What a client owns.

    Attributes:
        train: its training samples, with their holes.
        test: its held-out samples, with their holes.
        split_hash: hash of the whole split, the same at every client.
        mask_hash: hash of this client's mask.
        test_mask_hash: hash of the mask of the whole test split, the same at every client.
    """

    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    split_hash: str
    mask_hash: str
    test_mask_hash: str


def split_dataset(
    dataset: Dataset, data: DataSettings, run: RunSettings, num_partitions: int, cache: Path
) -> Assignment:
    """Indices of every client's training and held-out samples; the cache folder remembers them.

    Raises:
        ConfigError: there is no such partition.
        DataError: the samples cannot be dealt so.
    """
    train, test = (
        tuple((sample.key, sample.label, sample.owner) for sample in dataset.splits[split])
        for split in ("train", held_out_split(dataset, run))
    )
    return remembered_split(train, test, data.partition, run.seed, num_partitions, cache)


def held_out_split(dataset: Dataset, run: RunSettings) -> str:
    """The split that the clients' held-out samples are dealt from.

    It is the test split, unless the model is selected on them and there is a validation split.
    """
    selects = run.selected_by == "clients" and bool(dataset.splits.get(VALIDATION))
    return VALIDATION if selects else "test"


def client_samples(
    dataset: Dataset,
    node: Node,
    data: DataSettings,
    missing: MissingSettings,
    run: RunSettings,
) -> ClientSamples:
    """Deal a client its samples and make its holes; save split and masks as hashed records.

    A node with a folder of its own has its samples and its holes already: none are made.

    Raises:
        ConfigError: there is no such partition or pattern.
        DataError: the split or the masks cannot be made.
    """
    held_out = tuple(dataset.splits[held_out_split(dataset, run)])
    if node.data_path is not None:
        return _own_samples(tuple(dataset.splits["train"]), held_out, node.cache_dir)
    parts, classes = node.num_partitions, len(dataset.class_names)
    train, test = split_dataset(dataset, data, run, parts, node.cache_dir)
    split_hash = save_record(node.cache_dir / "splits", {"train": train, "test": test})
    own = [dataset.splits["train"][index] for index in train[node.partition_id]]
    mask = training_mask(own, missing, run.seed, node.partition_id, parts, classes)
    mask_hash = save_record(node.cache_dir / "masks", mask.record())
    test_mask = whole_test_mask(held_out, missing, run.seed, classes)
    test_mask_hash = save_record(node.cache_dir / "masks", test_mask.record())
    whole_test = test_mask.apply(held_out)
    own_test = [whole_test[index] for index in test[node.partition_id]]
    further = held_out_mask(own_test, missing, run.seed, node.partition_id, parts)
    return ClientSamples(
        mask.apply(own), further.apply(own_test), split_hash, mask_hash, test_mask_hash
    )


def _own_samples(train: tuple[Sample, ...], test: tuple[Sample, ...], cache: Path) -> ClientSamples:
    keys = {"train": [s.key for s in train], "test": [s.key for s in test]}
    return ClientSamples(
        train,
        test,
        save_record(cache / "splits", keys),
        save_record(cache / "masks", real_mask(train).record()),
        save_record(cache / "masks", real_mask(test).record()),
    )
