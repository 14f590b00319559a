"""How features and completions become bytes in the feature store, and under which keys."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load, save

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.samples import IMAGE, TEXT, text_digest
from fedmvp_flwr.completion.completers import Completion, Content
from fedmvp_flwr.completion.store import key_for
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG_EFFORT = 1  # of 9: three times as fast as the default, a tenth larger


@dataclass(frozen=True)
class CompletionRecord:
    """A stored completion without its image.

    Attributes:
        digest: hex SHA-256 of the generated content.
        text: the generated text, None for an image (its bytes have a key of their own).
        provenance: JSON values.
    """

    digest: str
    text: str | None
    provenance: dict[str, Any]

    @classmethod
    def of(cls, completion: Completion) -> "CompletionRecord":
        """Describe a completion."""
        content = completion.content
        if isinstance(content, str):
            return cls(text_digest(content), content, completion.provenance)
        return cls(image_digest(content), None, completion.provenance)

    def to_bytes(self) -> bytes:
        """Encode as JSON."""
        return json.dumps(vars(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> "CompletionRecord":
        """Decode what `to_bytes` wrote."""
        return cls(**json.loads(value))


def image_digest(image: "Image") -> str:
    """Hex SHA-256 of an image's size and pixels."""
    digest = hashlib.sha256(f"{image.mode}{image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def content_key(digest: str) -> str:
    """Return the key of a generated image's bytes."""
    return key_for("content", digest=digest)


def image_to_bytes(image: "Image") -> bytes:
    """Encode an image without loss (PNG)."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=_PNG_EFFORT)
    return buffer.getvalue()


def image_from_bytes(value: bytes) -> "Image":
    """Decode what `image_to_bytes` wrote."""
    from PIL import Image

    return Image.open(io.BytesIO(value), formats=["PNG"]).convert("RGB")


def completion_items(key: str, completion: Completion) -> tuple[CompletionRecord, dict[str, bytes]]:
    """Return a completion's record and everything that the store keeps of it."""
    record = CompletionRecord.of(completion)
    items = {key: record.to_bytes()}
    content: Content = completion.content
    if not isinstance(content, str):
        items[content_key(record.digest)] = image_to_bytes(content)
    return record, items


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


def widths_to_bytes(widths: tuple[int, int]) -> bytes:
    """Encode (token width, pooled width)."""
    return json.dumps(widths).encode()


def widths_from_bytes(value: bytes) -> tuple[int, int]:
    """Decode what `widths_to_bytes` wrote."""
    return cast(tuple[int, int], tuple(json.loads(value)))


def _encoder_parts(modality: str, models: FoundationModels) -> dict[str, str | int]:
    shape = {IMAGE: models.settings.image_grid, TEXT: models.settings.text_max_tokens}
    encoder = models.fingerprint(ENCODER_ROLES[modality])
    return {"modality": modality, "encoder": encoder, "shape": shape[modality]}
