"""From a configuration to features on disk: what must be done once, before any round.

Clients, the server and `fedmvp complete` all come through here, so that whoever comes first
fills the store and the others find it filled.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fedmvp_flwr.aggregation.probe import (
    Probe,
    generate_probe,
    load_probe,
    probe_of,
    probe_texts,
    save_probe,
)
from fedmvp_flwr.client_data import (
    ClientData,
    accept,
    feature_widths,
    other_modality,
    training_batch,
)
from fedmvp_flwr.completion.completers import changed_settings
from fedmvp_flwr.completion.pipeline import prepare_samples
from fedmvp_flwr.completion.plan import check_gate
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import ACCEPT_ALL, calibrate_threshold
from fedmvp_flwr.completion.retrieval import public_pairs, retrieval_pool
from fedmvp_flwr.completion.store import FeatureStore, key_for
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.assignment import Assignment, assign
from fedmvp_flwr.data.dealt import Known, remembered_split
from fedmvp_flwr.data.missing import MissingMask
from fedmvp_flwr.data.patterns import held_out_mask, training_mask, whole_test_mask
from fedmvp_flwr.data.records import record_hash, save_record
from fedmvp_flwr.data.samples import MODALITIES, VALIDATION, Dataset, Sample
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.specs import Role
from fedmvp_flwr.node import Node, cache_folder
from fedmvp_flwr.seeds import torch_generator

Progress = Callable[[str, int, int], None]
_PROBE_ROLES: tuple[Role, ...] = ("image_encoder", "image_generator", "text_encoder")


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
    return _split(train, test, config, num_partitions, cache_folder(config))


def held_out_split(dataset: Dataset, config: RunConfig) -> str:
    """The split that the clients' held-out samples are dealt from.

    It is the test split, unless the model is selected on them and there is a validation split.
    """
    selects = config.selection == "clients" and bool(dataset.splits.get(VALIDATION))
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


def prepare_client(
    dataset: Dataset,
    config: RunConfig,
    node: Node,
    models: FoundationModels,
    on_progress: Progress | None = None,
    fallback: float = ACCEPT_ALL,
) -> ClientData:
    """Complete, encode and gate everything that a client owns.

    Args:
        dataset: the data set that the client has its part of.
        config: the run's settings.
        node: who the client is.
        models: the frozen models.
        on_progress: called with (stage, done, total).
        fallback: threshold of the quality gate if the client has no complete pair of its own to
            calibrate it by (see `fallback_threshold`).

    Returns:
        Its features. With `incomplete='drop'` there may be nothing to train on; the summary's
        `trainable` says so.
    """
    samples = client_samples(dataset, config, node)
    wanted = completion_requests(samples.train, config)
    pool = retrieval_pool(samples.train, dataset, config)
    with FeatureStore(node.cache_dir) as store:
        train = prepare_samples(
            samples.train,
            complete=wanted,
            models=models,
            store=store,
            config=config,
            class_names=dataset.class_names,
            pool=pool,
            on_progress=on_progress,
        )
        test = prepare_test(samples.test, config, models, store, on_progress, pool)
    has_pair = any(sample.complete for sample in samples.train)
    threshold = (
        calibrate_threshold(train.pair_similarity, config.quality_gate) if has_pair else fallback
    )
    accepted = accept(train, threshold, config)
    summary = {
        "partition-id": node.partition_id,
        **_summary(dataset, samples, train, accepted, threshold, models),
        "trainable": len(training_batch(train, accepted, config)),
    }
    return ClientData(config, train, test, threshold, summary)


def require_comparable(models: FoundationModels, config: RunConfig) -> None:
    """Raise a ModelError if the quality gate is on but has nothing to measure with."""
    if config.completion != "none":
        check_gate(models, config)


def completion_requests(samples: tuple[Sample, ...], config: RunConfig) -> dict[str, list[bool]]:
    """Which holes of the samples are to be completed: all of them, or none."""
    wanted = config.completion != "none"
    return {name: [wanted and not sample.has(name) for sample in samples] for name in MODALITIES}


def held_out_requests(samples: tuple[Sample, ...], config: RunConfig) -> dict[str, list[bool]]:
    """Which modalities of test samples are completed: each from the other one, if that is there."""
    wanted = config.completion != "none"
    return {
        name: [wanted and sample.has(other_modality(name)) for sample in samples]
        for name in MODALITIES
    }


def prepare_test(
    samples: tuple[Sample, ...],
    config: RunConfig,
    models: FoundationModels,
    store: FeatureStore,
    on_progress: Progress | None = None,
    pool: Sequence[Sample] = (),
) -> PreparedSet:
    """Encode test samples and complete each modality from the other one, where that is there.

    Retrieval takes from `pool`, never from other test samples.
    """
    return prepare_samples(
        samples,
        complete=held_out_requests(samples, config),
        models=models,
        store=store,
        config=config,
        pool=pool,
        on_progress=on_progress,
    )


def prepare_probe(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Probe:
    """Return the probe of a run: from its file, from the public split, or generated once.

    Raises:
        DataError: the file cannot be used, or its features do not fit the encoders.
    """
    if config.probe_file:
        return load_probe(Path(config.probe_file).expanduser())
    if config.probe_source == "public":
        return _public_probe(dataset, config, models)
    texts = probe_texts(dataset.class_descriptions, config.probe_per_class)
    key = key_for(
        "probe",
        texts=[list(item) for item in texts],
        models=[models.fingerprint(role) for role in _PROBE_ROLES],
        seed=config.completion_seed,
        image_grid=config.image_grid,
        text_max_tokens=config.text_max_tokens,
        generator=[
            config.generator_steps,
            config.generator_guidance,
            *changed_settings(config, "generator_size", "generator_dtype").values(),
        ],
    )
    path = cache_folder(config) / "probes" / f"{key}.safetensors"
    try:
        return load_probe(path)
    except DataError:  # not there yet, or damaged: generate it
        probe = generate_probe(
            texts,
            models.image_generator,
            models.image_encoder,
            models.text_encoder,
            config.completion_seed,
            min(config.images_at_once, config.foundation_batch_size),
        )
        save_probe(path, probe)
        return probe


def _public_probe(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Probe:
    """Take real public pairs as the probe, up to `probe-per-class` of each class."""
    by_class: dict[int, list[Sample]] = {}
    for sample in public_pairs(dataset, config):
        by_class.setdefault(sample.label, []).append(sample)
    chosen: list[Sample] = []
    for label, samples in sorted(by_class.items()):
        generator = torch_generator(config.completion_seed, "probe", label)
        order = torch.randperm(len(samples), generator=generator)[: config.probe_per_class]
        chosen += [samples[place] for place in order.tolist()]
    with FeatureStore(cache_folder(config)) as store:
        prepared = prepare_samples(chosen, complete={}, models=models, store=store, config=config)
    return probe_of(prepared.real)


def _summary(
    dataset: Dataset,
    samples: ClientSamples,
    train: PreparedSet,
    accepted: Mapping[str, Tensor],
    threshold: float,
    models: FoundationModels,
) -> dict[str, Any]:
    labels = torch.tensor([sample.label for sample in samples.train])
    return {
        "samples": len(samples.train),
        "held-out": len(samples.test),
        "complete": sum(sample.complete for sample in samples.train),
        "missing": {
            name: sum(not sample.has(name) for sample in samples.train) for name in MODALITIES
        },
        "labels": torch.bincount(labels, minlength=len(dataset.class_names)).tolist(),
        "completions": {
            name: {
                "made": train.made.get(name, 0),
                "reused": train.reused.get(name, 0),
                "rejected": int((train.completed[name].present & ~accepted[name]).sum()),
            }
            for name in accepted
        },
        "gate-threshold": threshold,
        "widths": feature_widths(train.real),
        "seconds": dict(train.seconds),
        "models": models.identities(),
        "hashes": {
            "split": samples.split_hash,
            "mask": samples.mask_hash,
            "test-mask": samples.test_mask_hash,
            "keys": record_hash({"keys": list(train.keys)}),
        },
    }
