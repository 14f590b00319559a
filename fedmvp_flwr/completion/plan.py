"""What a set of samples asks for: which completions, each with its key in the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedmvp_flwr.base.errors import DataError, ModelError
from fedmvp_flwr.base.samples import MODALITIES, TEXT, Sample, text_digest
from fedmvp_flwr.completion.completers import SOURCE_OF, NamesCompletions
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Wanted:
    """One completion that a sample asks for.

    Attributes:
        key: its key in the store.
        source_digest: hex SHA-256 of what it is made from.
        class_name: the label's name where it enters the prompt.
        sample_key: the sample that asks.
    """

    key: str
    source_digest: str
    class_name: str | None
    sample_key: str


def content_digest(sample: Sample, modality: str) -> str | None:
    """Return the digest of a sample's real image or text, None where it is missing."""
    if modality == TEXT:
        return None if sample.text is None else text_digest(sample.text)
    return None if sample.image is None else sample.image.digest


def class_name_for(sample: Sample, config: RunConfig, class_names: Sequence[str]) -> str | None:
    """Return the class name if it may enter the sample's prompts, else None."""
    return class_names[sample.label] if config.completion.label_in_prompt and class_names else None


def wanted_completions(
    samples: Sequence[Sample],
    digests: Mapping[str, Sequence[str | None]],
    complete: Mapping[str, Sequence[bool]],
    completer: NamesCompletions,
    config: RunConfig,
    class_names: Sequence[str],
) -> dict[str, list[Wanted | None]]:
    """Return by modality what each of the N samples asks for, None where nothing.

    Args:
        samples: N samples.
        digests: by modality, the N content digests, None at holes.
        complete: by modality, N flags.
        completer: names the completions.
        config: whether class names may enter prompts.
        class_names: in label order.

    Raises:
        DataError: a sample lacks what its completion would be made from.
    """
    wanted: dict[str, list[Wanted | None]] = {}
    for modality in MODALITIES:
        rows: list[Wanted | None] = [None] * len(samples)
        for row, flag in enumerate(complete.get(modality, ())):
            if not flag:
                continue
            sample = samples[row]
            digest = digests[SOURCE_OF[modality]][row]
            if digest is None:
                raise DataError(
                    f"Sample '{sample.key}': its {modality} cannot be completed, because it has "
                    f"no {SOURCE_OF[modality]} either. Leave it out."
                )
            class_name = class_name_for(sample, config, class_names)
            key = completer.key(modality, digest, class_name, sample.key)
            if key is not None:
                rows[row] = Wanted(key, digest, class_name, sample.key)
        wanted[modality] = rows
    return wanted


def check_flags(complete: Mapping[str, Sequence[bool]], count: int) -> None:
    """Refuse flags that do not fit `count` samples.

    Raises:
        DataError: an unknown modality, or another number of flags.
    """
    lengths = {modality: len(flags) for modality, flags in complete.items()}
    if not set(lengths) <= set(MODALITIES) or any(n != count for n in lengths.values()):
        raise DataError(
            f"The flags of what to complete are {lengths} (modality: number); expected {count} "
            f"flags for some of {', '.join(MODALITIES)}."
        )


def check_gate(models: FoundationModels, config: RunConfig) -> None:
    """Refuse a quality gate that could not measure anything.

    Retrieval without a common space is gated by the distance to the neighbour instead.

    Raises:
        ModelError: the gate is on, and the pooled embeddings cannot be compared.
    """
    if (
        not config.completion.quality_gate
        or config.completion.kind != "foundation"
        or models.comparable
    ):
        return
    if config.completion.gate_encoder:
        raise ModelError(
            f"gate-encoder='{config.completion.gate_encoder}' has no common space of images "
            "and texts. Use an image-text model (open_clip, CLIP or SigLIP), or set quality-gate=0."
        )
    raise ModelError(
        f"quality-gate={config.completion.quality_gate} compares images with texts, but "
        f"image-encoder='{config.models.image_encoder}' and "
        f"text-encoder='{config.models.text_encoder}' share no "
        "embedding space. Use the two sides of one image-text model, name one with gate-encoder, "
        "or set quality-gate=0."
    )


def load_image(sample: Sample) -> "Image":
    """Decode a sample's image.

    Raises:
        DataError: it cannot be decoded; names the sample.
    """
    assert sample.image is not None
    try:
        return sample.image.load()
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"Sample '{sample.key}': its image cannot be decoded ({error}). Repair or remove it."
        ) from error
