"""From a configuration to features on disk: what must be done once, before any round.

Clients, the server and `fedmvp complete` all come through here, so that whoever comes first
fills the store and the others find it filled.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from fedmvp_flwr.completion.completers import changed_settings
from fedmvp_flwr.completion.pipeline import prepare_samples
from fedmvp_flwr.completion.plan import check_gate
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.quality import ACCEPT_ALL, calibrate_threshold, gate
from fedmvp_flwr.completion.retrieval import public_pairs, retrieval_pool
from fedmvp_flwr.completion.store import FeatureStore, key_for
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.assignment import Assignment, assign
from fedmvp_flwr.data.patterns import held_out_mask, training_mask, whole_test_mask
from fedmvp_flwr.data.records import record_hash, save_record
from fedmvp_flwr.data.samples import MODALITIES, Dataset, Sample
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.evaluation import Conditions, only
from fedmvp_flwr.features import Batch
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.specs import Role
from fedmvp_flwr.node import Node, cache_folder
from fedmvp_flwr.seeds import torch_generator

GATE_FALLBACK = "gate-fallback"  # in the config of messages, see `fallback_threshold`
Progress = Callable[[str, int, int], None]
_Known = tuple[str, int, str | None]  # key, label and owner of a sample: all that dealing needs
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


@dataclass(frozen=True)
class ClientData:
    """A client's features, ready to train on.

    Attributes:
        train: features of the samples to train on.
        test: its held-out samples.
        summary: JSON values about the client that the server may know (counts, no content).
    """

    train: Batch
    test: Conditions
    summary: dict[str, Any] = field(default_factory=dict)


def split_dataset(dataset: Dataset, config: RunConfig, num_partitions: int) -> Assignment:
    """Indices of every client's training and held-out samples."""
    train, test = (
        tuple((sample.key, sample.label, sample.owner) for sample in dataset.splits[split])
        for split in ("train", "test")
    )
    return _split(train, test, config, num_partitions)


@lru_cache(maxsize=2)
def _split(
    train: tuple[_Known, ...], test: tuple[_Known, ...], config: RunConfig, num_partitions: int
) -> Assignment:
    def bare(samples: tuple[_Known, ...]) -> list[Sample]:
        return [Sample(key, label, None, None, owner) for key, label, owner in samples]

    return assign(bare(train), bare(test), config, num_partitions)


def client_samples(dataset: Dataset, config: RunConfig, node: Node) -> ClientSamples:
    """Deal a client its samples and make its holes; save split and masks as hashed records.

    Raises:
        DataError: the split or the masks cannot be made.
    """
    train, test = split_dataset(dataset, config, node.num_partitions)
    split_hash = save_record(node.cache_dir / "splits", {"train": train, "test": test})
    own = [dataset.splits["train"][index] for index in train[node.partition_id]]
    mask = training_mask(own, config, node.partition_id, node.num_partitions)
    mask_hash = save_record(node.cache_dir / "masks", mask.record())
    test_mask = whole_test_mask(dataset.splits["test"], config)
    test_mask_hash = save_record(node.cache_dir / "masks", test_mask.record())
    whole_test = test_mask.apply(dataset.splits["test"])
    held_out = [whole_test[index] for index in test[node.partition_id]]
    further = held_out_mask(held_out, config, node.partition_id, node.num_partitions)
    return ClientSamples(
        mask.apply(own), further.apply(held_out), split_hash, mask_hash, test_mask_hash
    )


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
    batch = training_batch(train, accepted, config)
    summary = _summary(dataset, samples, train, accepted, threshold, models)
    return ClientData(
        batch,
        conditions(test, threshold, config),
        {"partition-id": node.partition_id, **summary, "trainable": len(batch)},
    )


def fallback_threshold(summaries: Sequence[Mapping[str, Any]]) -> float:
    """The gate's threshold for clients without a complete pair: the median of the others'.

    Args:
        summaries: of the clients that are ready.

    Returns:
        A cosine; -1, which accepts everything, if no client has a pair.
    """
    own = [float(s["gate-threshold"]) for s in summaries if s["complete"]]
    return statistics.median(own or [ACCEPT_ALL])


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
        name: [wanted and sample.has(_other(name)) for sample in samples] for name in MODALITIES
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


def accept(prepared: PreparedSet, threshold: float, config: RunConfig) -> dict[str, Tensor]:
    """By modality, (N,) bool: the completions that pass the quality gate, if there is one."""
    return {
        name: made.present & gate(prepared.similarity[name], threshold)
        if config.quality_gate
        else made.present
        for name, made in prepared.completed.items()
    }


def training_batch(
    prepared: PreparedSet, accepted: Mapping[str, Tensor], config: RunConfig
) -> Batch:
    """The samples that a client trains on; `incomplete` decides about the remaining holes."""
    batch = prepared.batch(accepted)
    if config.incomplete == "mask":
        return batch
    whole = torch.stack([m.present for m in batch.modalities.values()]).all(dim=0)
    return batch.select(whole.nonzero().flatten())


def conditions(test: PreparedSet, threshold: float, config: RunConfig) -> Conditions:
    """The test set under every condition, without and with completion.

    `complete` are the samples that have both modalities, `image-only` and `text-only` those that
    have that one, with the other hidden. Where the test set has holes, `given` are all samples as
    they are.
    """
    accepted = accept(test, threshold, config)
    there = {name: m.present for name, m in test.real.modalities.items()}
    whole = torch.stack(list(there.values())).all(dim=0)
    plain = {"complete": _some(test.real, whole)}
    completed = {}
    for name in MODALITIES:
        other = _other(name)
        plain[f"{name}-only"] = _some(only(test.real, name), there[name])
        if test.completed[other].present.any():
            everywhere = torch.ones(len(test), dtype=torch.bool)
            filled = test.batch(accepted, hidden={other: everywhere})
            completed[f"{name}-only"] = _some(filled, there[name])
    if not whole.all():
        plain["given"] = test.real
        if completed:
            completed["given"] = test.batch(accepted)
    return Conditions(plain, completed)


def _some(batch: Batch, flags: Tensor) -> Batch:
    return batch if flags.all() else batch.select(flags.nonzero().flatten())


def _other(modality: str) -> str:
    (other,) = set(MODALITIES) - {modality}
    return other


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
        "seconds": dict(train.seconds),
        "models": models.identities(),
        "hashes": {
            "split": samples.split_hash,
            "mask": samples.mask_hash,
            "test-mask": samples.test_mask_hash,
            "keys": record_hash({"keys": list(train.keys)}),
        },
    }
