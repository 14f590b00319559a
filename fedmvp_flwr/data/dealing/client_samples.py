"""Which samples a client owns, and which holes they have: dealt, masked and recorded."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fedmvp_flwr.base.files import save_record
from fedmvp_flwr.base.samples import MODALITIES, VALIDATION, Dataset, Sample
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.assignment import Assignment, assign
from fedmvp_flwr.data.dealing.dealt import Known, remembered_split
from fedmvp_flwr.data.dealing.missing import MissingMask
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


def split_dataset(dataset: Dataset, config: RunConfig, num_partitions: int) -> Assignment:
    """Indices of every client's training and held-out samples."""
    train, test = (
        tuple((sample.key, sample.label, sample.owner) for sample in dataset.splits[split])
        for split in ("train", held_out_split(dataset, config))
    )
    return _split(train, test, config, num_partitions, cache_folder(config.run))


def held_out_split(dataset: Dataset, config: RunConfig) -> str:
    """The split that the clients' held-out samples are dealt from.

    It is the test split, unless the model is selected on them and there is a validation split.
    """
    selects = config.run.selected_by == "clients" and bool(dataset.splits.get(VALIDATION))
    return VALIDATION if selects else "test"


@lru_cache(maxsize=2)
def _split(
    train: tuple[Known, ...],
    test: tuple[Known, ...],
    config: RunConfig,
    num_partitions: int,
    folder: Path,
) -> Assignment:
    def bare(samples: tuple[Known, ...]) -> list[Sample]:
        return [Sample(key, label, None, None, owner) for key, label, owner in samples]

    def deal() -> Assignment:
        return assign(bare(train), bare(test), config, num_partitions)

    return remembered_split(folder, train, test, config, num_partitions, deal)


def client_samples(dataset: Dataset, config: RunConfig, node: Node) -> ClientSamples:
    """Deal a client its samples and make its holes; save split and masks as hashed records.

    A node with a folder of its own has its samples and its holes already: none are made.

    Raises:
        DataError: the split or the masks cannot be made.
    """
    if node.data_path is not None:
        return _own_samples(dataset, config, node)
    train, test = split_dataset(dataset, config, node.num_partitions)
    split_hash = save_record(node.cache_dir / "splits", {"train": train, "test": test})
    own = [dataset.splits["train"][index] for index in train[node.partition_id]]
    mask = training_mask(own, config, node.partition_id, node.num_partitions)
    mask_hash = save_record(node.cache_dir / "masks", mask.record())
    own_split = dataset.splits[held_out_split(dataset, config)]
    test_mask = whole_test_mask(own_split, config)
    test_mask_hash = save_record(node.cache_dir / "masks", test_mask.record())
    whole_test = test_mask.apply(own_split)
    held_out = [whole_test[index] for index in test[node.partition_id]]
    further = held_out_mask(held_out, config, node.partition_id, node.num_partitions)
    return ClientSamples(
        mask.apply(own), further.apply(held_out), split_hash, mask_hash, test_mask_hash
    )


def _own_samples(dataset: Dataset, config: RunConfig, node: Node) -> ClientSamples:
    train = tuple(dataset.splits["train"])
    test = tuple(dataset.splits[held_out_split(dataset, config)])
    keys = {"train": [s.key for s in train], "test": [s.key for s in test]}
    return ClientSamples(
        train,
        test,
        save_record(node.cache_dir / "splits", keys),
        save_record(node.cache_dir / "masks", _holes(train).record()),
        save_record(node.cache_dir / "masks", _holes(test).record()),
    )


def _holes(samples: tuple[Sample, ...]) -> MissingMask:
    present = {name: tuple(sample.has(name) for sample in samples) for name in MODALITIES}
    return MissingMask(tuple(sample.key for sample in samples), present)
