"""Frozen features of contents by digest, of one pair of encoders: from the store, or computed."""

from collections.abc import Iterable, Mapping, Sequence

from fedmvp_flwr.completion import codec
from fedmvp_flwr.completion.completers import Content
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.features import ModalityBatch, ModalityFeatures, stack_modality
from fedmvp_flwr.foundation.bundle import FoundationModels


class Encoding:
    """What is known of the features of one call's contents.

    Args:
        models: their two encoders compute what is not known; loaded only then.
        store: where everything is kept.

    Attributes:
        features: by (modality, digest).
    """

    def __init__(self, models: FoundationModels, store: FeatureStore) -> None:
        """See the class."""
        self.features: dict[tuple[str, str], ModalityFeatures] = {}
        self._models, self._store = models, store
        self._widths: dict[str, tuple[int, int]] = {}

    def look_up(self, digests: Mapping[str, Iterable[str]]) -> None:
        """Fetch the features that the store has, and the encoders' widths.

        Args:
            digests: of the contents, by modality.
        """
        by_key = {}
        for modality, contents in digests.items():
            by_key[codec.widths_key(modality, self._models)] = (modality, "")
            for digest in contents:
                by_key[codec.features_key(modality, digest, self._models)] = (modality, digest)
        for key, value in self._store.get_many(by_key).items():
            modality, digest = by_key[key]
            if digest:
                self.features[modality, digest] = codec.features_from_bytes(value)
            else:
                self._widths[modality] = codec.widths_from_bytes(value)

    def encode(self, modality: str, contents: Mapping[str, Content]) -> dict[str, bytes]:
        """Compute the features that are missing of one chunk, by digest; return what to store."""
        missing = [digest for digest in contents if (modality, digest) not in self.features]
        items: dict[str, bytes] = {}
        if not missing and modality in self._widths:
            return items
        encoder = self._models.encoder(modality)
        if modality not in self._widths:
            self._widths[modality] = (encoder.token_width, encoder.pooled_width)
            key = codec.widths_key(modality, self._models)
            items[key] = codec.widths_to_bytes(self._widths[modality])
            self._store.put_many(items)
        encoded = encoder.encode([contents[digest] for digest in missing])
        for digest, features in zip(missing, encoded, strict=True):
            self.features[modality, digest] = features
            key = codec.features_key(modality, digest, self._models)
            items[key] = codec.features_to_bytes(features)
        return items

    def stack(
        self, modality: str, digests: Sequence[str | None], *, generated: bool
    ) -> ModalityBatch:
        """Return the features of N contents as one batch, None where there is none."""
        features = [self.features[modality, d] if d is not None else None for d in digests]
        if modality not in self._widths:
            self.encode(modality, {})
        return stack_modality(features, [generated] * len(features), *self._widths[modality])
