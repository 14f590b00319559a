"""Frozen features of contents by digest, of one pair of encoders: from the store, or computed."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

import torch
from safetensors.torch import load, save

from fedmvp_flwr.base.errors import StoreError
from fedmvp_flwr.base.features import ModalityBatch, ModalityFeatures, stack_modality
from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.completion.contents import Content
from fedmvp_flwr.completion.store import FeatureStore, key_for
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels

_AT_ONCE = 256  # values in memory as bytes beside what is made of them


class Encoding:
    """What is known of the features of one call's contents.

    Args:
        models: their two encoders compute what is not known; loaded only then.
        store: where everything is kept.
        keeps_tokens: by modality and digest, whether a content's tokens are kept in memory. They
            are nearly all of its bytes, and of what is only searched or compared the pooled
            embedding is enough.

    Attributes:
        features: by (modality, digest); without tokens (0, D) where they are not kept.
    """

    def __init__(
        self,
        models: FoundationModels,
        store: FeatureStore,
        keeps_tokens: Callable[[str, str], bool] = lambda modality, digest: True,
    ) -> None:
        self.features: dict[tuple[str, str], ModalityFeatures] = {}
        self._models, self._store, self._keeps_tokens = models, store, keeps_tokens
        self._widths: dict[str, tuple[int, int]] = {}

    def look_up(self, digests: Mapping[str, Iterable[str]]) -> None:
        """Fetch what the store has of the contents' features, and the encoders' widths."""
        by_key = {}
        for modality, contents in digests.items():
            if modality not in self._widths:
                by_key[widths_key(modality, self._models)] = (modality, "")
            for digest in contents:
                if (modality, digest) not in self.features:
                    by_key[features_key(modality, digest, self._models)] = (modality, digest)
        for key, value in self._stored(list(by_key)):
            modality, digest = by_key[key]
            if digest:
                self._keep(modality, digest, features_from_bytes(value))
            else:
                self._widths[modality] = widths_from_bytes(value)

    def fetch_tokens(self, modality: str, digests: Iterable[str]) -> None:
        """Fetch the tokens of contents that were kept without them.

        Raises:
            StoreError: the store has lost one since it was encoded.
        """
        bare = {digest for digest in digests if not len(self.features[modality, digest].tokens)}
        by_key = {features_key(modality, digest, self._models): digest for digest in bare}
        for key, value in self._stored(list(by_key)):
            self.features[modality, by_key.pop(key)] = features_from_bytes(value)
        if by_key:
            raise StoreError(
                f"The feature store lost the {modality} features of {len(by_key)} contents while "
                "it was in use: start again, they are computed anew."
            )

    def _stored(self, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for start in range(0, len(keys), _AT_ONCE):
            yield from self._store.get_many(keys[start : start + _AT_ONCE]).items()

    def encode(self, modality: str, contents: Mapping[str, Content]) -> dict[str, bytes]:
        """Compute the features that are missing of one chunk, by digest; return what to store."""
        missing = [digest for digest in contents if (modality, digest) not in self.features]
        items: dict[str, bytes] = {}
        if not missing and modality in self._widths:
            return items
        encoder = self._models.encoder(modality)
        if modality not in self._widths:
            self._widths[modality] = (encoder.token_width, encoder.pooled_width)
            key = widths_key(modality, self._models)
            items[key] = json.dumps(self._widths[modality]).encode()
            self._store.put_many(items)
        encoded = encoder.encode([contents[digest] for digest in missing])
        for digest, features in zip(missing, encoded, strict=True):
            self._keep(modality, digest, features)
            key = features_key(modality, digest, self._models)
            items[key] = features_to_bytes(features)
        return items

    def _keep(self, modality: str, digest: str, features: ModalityFeatures) -> None:
        if not self._keeps_tokens(modality, digest):
            # Copies: what is cut off a tensor stays in memory as long as the rest does.
            features = ModalityFeatures(features.tokens[:0].clone(), features.pooled.clone())
        self.features[modality, digest] = features

    def stack(
        self, modality: str, digests: Sequence[str | None], *, generated: bool
    ) -> ModalityBatch:
        """Return the features of N contents as one batch, None where there is none."""
        features = [self.features[modality, d] if d is not None else None for d in digests]
        if modality not in self._widths:
            self.encode(modality, {})
        return stack_modality(features, [generated] * len(features), *self._widths[modality])


def features_key(modality: str, digest: str, models: FoundationModels) -> str:
    """Return the key of the features of a content: digest, encoder and what shapes the tokens."""
    return key_for("features", digest=digest, **_encoder_parts(modality, models))


def widths_key(modality: str, models: FoundationModels) -> str:
    """Return the key of an encoder's widths, which even an empty batch must know."""
    return key_for("widths", **_encoder_parts(modality, models))


def features_to_bytes(features: ModalityFeatures) -> bytes:
    """Encode features as safetensors, in float16."""
    tensors = {"tokens": features.tokens, "pooled": features.pooled}
    return save({name: t.to(torch.float16).contiguous() for name, t in tensors.items()})


def features_from_bytes(value: bytes) -> ModalityFeatures:
    """Decode what `features_to_bytes` wrote."""
    tensors = load(value)
    return ModalityFeatures(tensors["tokens"], tensors["pooled"])


def widths_from_bytes(value: bytes) -> tuple[int, int]:
    """Decode a stored (token width, pooled width)."""
    return cast(tuple[int, int], tuple(json.loads(value)))


def _encoder_parts(modality: str, models: FoundationModels) -> dict[str, str | int]:
    shape = {IMAGE: models.settings.image_grid, TEXT: models.settings.text_max_tokens}
    encoder = models.fingerprint(ENCODER_ROLES[modality])
    return {"modality": modality, "encoder": encoder, "shape": shape[modality]}
