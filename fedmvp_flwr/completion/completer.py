"""The extension point: a way of completion fills a hole from the modality that is there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.samples import MODALITIES, Sample
from fedmvp_flwr.completion.contents import Completion, CompletionRecord, Source, content_digest
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.spec import Role

Features = Mapping[tuple[str, str], ModalityFeatures]  # by (modality, digest)


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


class Completer:
    """A way of completion.

    A new one is a class like this, with `key` and either `complete` or `take_over`, and one line in
    `registry.py`. Its class attributes say what it needs, before anything is loaded.

    Args:
        models: the frozen models; the encoders, and those of its roles, can be used.
        settings: of the completion.
        seed: fixes what is drawn.
        pool: samples to take from; incomplete ones are passed over.

    Attributes:
        completes: False if every hole stays.
        roles: the frozen models that must be there, the encoders apart.
        prompted: whether the prompt templates mean anything to it.
        takes_over: it takes what samples of a pool have, once all features are known, and makes
            nothing itself.
        own_measure: what its completions can be gated by where images and texts have no common
            space (see `typicality_of_pairs`); empty if by nothing.
        pool: the complete samples to take from, sorted by key.
    """

    completes: ClassVar[bool] = True
    roles: ClassVar[tuple[Role, ...]] = ()
    prompted: ClassVar[bool] = False
    takes_over: ClassVar[bool] = False
    own_measure: ClassVar[str] = ""

    def __init__(
        self,
        models: FoundationModels,
        settings: CompletionSettings,
        seed: int = 0,
        pool: Sequence[Sample] = (),
    ) -> None:
        self.models, self.settings, self.seed = models, settings, seed
        complete = {sample.key: sample for sample in pool if sample.complete}
        self.pool = tuple(complete[key] for key in sorted(complete))

    @classmethod
    def makes(cls) -> bool:
        """Whether it makes contents of its own: what a sample of a pool has is there already."""
        return cls.completes and not cls.takes_over

    @classmethod
    def check(cls, settings: CompletionSettings) -> None:
        """Refuse settings that it cannot use.

        Raises:
            ConfigError: names the key.
        """

    @classmethod
    def check_gate(cls, models: FoundationModels, settings: CompletionSettings) -> None:
        """Refuse a quality gate that could not measure anything.

        Raises:
            ModelError: the gate is on, and the pooled embeddings cannot be compared.
        """
        measured = cls.own_measure or not settings.quality_gate or not cls.completes
        if measured or models.comparable:
            return
        ours = models.settings
        encoders = f"image-encoder='{ours.image_encoder}' and text-encoder='{ours.text_encoder}'"
        if settings.gate_encoder:
            encoders = f"the two sides of gate-encoder='{settings.gate_encoder}'"
        raise ModelError(
            f"quality-gate={settings.quality_gate} compares images with texts, but {encoders} "
            "share no embedding space. Use the two sides of one image-text model (open_clip, CLIP "
            "or SigLIP), name one with gate-encoder, or set quality-gate=0."
        )

    @cached_property
    def pool_digests(self) -> dict[str, list[str]]:
        """By modality, the digests of the pool's contents."""
        return {m: [content_digest(sample, m) or "" for sample in self.pool] for m in MODALITIES}

    def class_name(self, sample: Sample, class_names: Sequence[str]) -> str | None:
        """Return the class name of a sample if it may enter a prompt, else None."""
        told = self.settings.label_in_prompt and class_names
        return class_names[sample.label] if told else None

    def key(
        self, modality: str, digest: str, class_name: str | None, sample_key: str
    ) -> str | None:
        """Return the store's key of the completion made from a source; nothing is loaded.

        It tells everything that determines the completion; see `Wanted`. None where this sample
        cannot be completed.
        """
        raise NotImplementedError

    def complete(self, modality: str, sources: Sequence[Source]) -> list[Completion]:
        """Make the missing modality from each source, independently of the other sources."""
        raise NotImplementedError

    def take_over(
        self, modality: str, wanted: Sequence[Wanted], features: Features
    ) -> list[CompletionRecord]:
        """Choose contents of the pool for what samples ask for.

        Args:
            modality: the missing one.
            wanted: what the samples ask for.
            features: those of the sources and of the whole pool.

        Returns:
            One record each, whose digest is that of a content of the pool.
        """
        raise NotImplementedError

    def typicality_of_pairs(self, samples: Sequence[Sample], features: Features) -> Tensor:
        """What `calibrate_threshold` takes (N,) where images and texts cannot be compared.

        The completions' own values are the entry `typicality` of their provenance.
        """
        return torch.full((len(samples),), torch.nan)


class NoCompleter(Completer):
    """Every hole stays."""

    completes = False
