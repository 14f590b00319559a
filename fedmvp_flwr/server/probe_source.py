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
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.probe import ProbeSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.server.probe import (
    Probe,
    generate_probe,
    load_probe,
    probe_texts,
    save_probe,
)

_PROBE_ROLES: tuple[Role, ...] = ("image_encoder", "image_generator", "text_encoder")


def prepare_probe(
    dataset: Dataset,
    settings: ProbeSettings,
    data: DataSettings,
    models: FoundationModels,
    cache: Path,
) -> Probe:
    """Return the probe of a run: from its file, from the public split, or generated once.

    Args:
        dataset: class descriptions and splits.
        settings: say where it comes from, and how large it is.
        data: name the seed and the public split.
        models: the frozen models.
        cache: folder of the feature store.

    Raises:
        DataError: the file or the public split cannot be used.
    """
    if settings.file:
        return load_probe_file(settings)
    if settings.probe_source == "public":
        chosen = _public_sample(dataset, data, settings.probe_per_class)
        with FeatureStore(cache) as store:
            return Probe(encode(chosen, models, store).real)
    path = generated_probe_file(dataset, settings, data.data_seed, models, cache)
    try:
        return load_probe(path)
    except DataError:  # not there yet, or damaged: generate it
        probe = generate_probe(
            probe_texts(dataset.class_descriptions, settings.probe_per_class),
            models.image_generator,
            models.image_encoder,
            models.text_encoder,
            data.data_seed,
            min(models.at_once("image_generator"), models.settings.foundation_batch_size),
        )
        save_probe(path, probe)
        return probe


def load_probe_file(settings: ProbeSettings) -> Probe:
    """Read the probe that `probe-source='file:PATH'` names.

    Raises:
        DataError: the file cannot be used.
    """
    return load_probe(expanded(settings.file, key="probe-source"))


def generated_probe_file(
    dataset: Dataset, settings: ProbeSettings, seed: int, models: FoundationModels, cache: Path
) -> Path:
    """Where a generated probe is kept: named after all that it depends on."""
    texts = probe_texts(dataset.class_descriptions, settings.probe_per_class)
    key = key_for(
        "probe",
        texts=[list(item) for item in texts],
        models=[models.fingerprint(role) for role in _PROBE_ROLES],
        seed=seed,
        image_grid=models.settings.image_grid,
        text_max_tokens=models.settings.text_max_tokens,
        generator=list(drawing_settings(models.spec("image_generator").options).values()),
    )
    return cache / "probes" / f"{key}.safetensors"


def _public_sample(dataset: Dataset, data: DataSettings, per_class: int) -> list[Sample]:
    """Some of the real public pairs of each class."""
    by_class: dict[int, list[Sample]] = {}
    for sample in public_pairs(dataset, data.public_split):
        by_class.setdefault(sample.label, []).append(sample)
    chosen: list[Sample] = []
    for label, samples in sorted(by_class.items()):
        generator = torch_generator(data.data_seed, "probe", label)
        order = torch.randperm(len(samples), generator=generator)[:per_class]
        chosen += [samples[place] for place in order.tolist()]
    if len(chosen) < 2:
        raise DataError(
            f"public-split='{data.public_split}' has one complete pair: CKA needs a probe of at "
            "least 2. Use more public pairs, or probe-source='generated'."
        )
    return chosen
