"""The probe of a run: from a file, from public pairs, or generated once and kept."""

from pathlib import Path

import torch

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.completion.foundation import drawing_settings
from fedmvp_flwr.completion.pipeline import encode
from fedmvp_flwr.completion.pool import public_pairs
from fedmvp_flwr.completion.store import FeatureStore, key_for
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.probe import ProbeSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.server.probe import (
    Probe,
    generate_probe,
    load_probe,
    probe_of,
    probe_texts,
    save_probe,
)

_PROBE_ROLES: tuple[Role, ...] = ("image_encoder", "image_generator", "text_encoder")


def prepare_probe(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Probe:
    """Return the probe of a run: from its file, from the public split, or generated once.

    Raises:
        DataError: the file cannot be used, or its features do not fit the encoders.
    """
    if config.probe.file:
        return load_probe_file(config.probe)
    if config.probe.probe_source == "public":
        return _public_probe(dataset, config, models)
    path = generated_probe_file(dataset, config, models)
    try:
        return load_probe(path)
    except DataError:  # not there yet, or damaged: generate it
        probe = generate_probe(
            probe_texts(dataset.class_descriptions, config.probe.probe_per_class),
            models.image_generator,
            models.image_encoder,
            models.text_encoder,
            config.data.data_seed,
            min(models.at_once("image_generator"), config.models.foundation_batch_size),
        )
        save_probe(path, probe)
        return probe


def load_probe_file(settings: ProbeSettings) -> Probe:
    """Read the probe that `probe-source='file:PATH'` names.

    Raises:
        DataError: the file cannot be used.
    """
    return load_probe(expanded(settings.file, key="probe-source"))


def generated_probe_file(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Path:
    """Where a generated probe is kept: named after all that it depends on."""
    texts = probe_texts(dataset.class_descriptions, config.probe.probe_per_class)
    key = key_for(
        "probe",
        texts=[list(item) for item in texts],
        models=[models.fingerprint(role) for role in _PROBE_ROLES],
        seed=config.data.data_seed,
        image_grid=config.models.image_grid,
        text_max_tokens=config.models.text_max_tokens,
        generator=list(drawing_settings(models.spec("image_generator").options).values()),
    )
    return cache_folder(config.run) / "probes" / f"{key}.safetensors"


def _public_probe(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Probe:
    """Take real public pairs as the probe, up to `probe-per-class` of each class."""
    by_class: dict[int, list[Sample]] = {}
    for sample in public_pairs(dataset, config.data.public_split):
        by_class.setdefault(sample.label, []).append(sample)
    chosen: list[Sample] = []
    for label, samples in sorted(by_class.items()):
        generator = torch_generator(config.data.data_seed, "probe", label)
        order = torch.randperm(len(samples), generator=generator)[: config.probe.probe_per_class]
        chosen += [samples[place] for place in order.tolist()]
    with FeatureStore(cache_folder(config.run)) as store:
        prepared = encode(chosen, models, store)
    return probe_of(prepared.real)
