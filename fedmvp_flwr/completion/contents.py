"""Images and texts that are completed from others: where they come from, how they are stored."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from fedmvp_flwr.base.samples import IMAGE, TEXT, Sample, text_digest
from fedmvp_flwr.completion.store import key_for

if TYPE_CHECKING:
    from PIL.Image import Image

Content = Union[str, "Image"]
SOURCE_OF: dict[str, str] = {IMAGE: TEXT, TEXT: IMAGE}
_PNG_EFFORT = 1  # of 9: three times as fast as the default, a tenth larger


@dataclass(frozen=True)
class Source:
    """What a completion is made from.

    Attributes:
        content: the text or the RGB image that is there.
        digest: hex SHA-256 of the content.
        class_name: the label's name where it may enter the prompt, else None.
    """

    content: Content
    digest: str
    class_name: str | None = None


@dataclass(frozen=True)
class Completion:
    """A generated modality and where it came from.

    Attributes:
        content: the generated text or RGB image.
        provenance: JSON values: modality, prompts, model fingerprint, seed, source digest.
    """

    content: Content
    provenance: dict[str, Any]


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

    def to_bytes(self) -> bytes:
        """Encode as JSON."""
        return json.dumps(vars(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> "CompletionRecord":
        """Decode what `to_bytes` wrote."""
        return cls(**json.loads(value))


def completion_items(key: str, completion: Completion) -> tuple[CompletionRecord, dict[str, bytes]]:
    """Return a completion's record and everything that the store keeps of it."""
    content, provenance = completion.content, completion.provenance
    if isinstance(content, str):
        record = CompletionRecord(text_digest(content), content, provenance)
        return record, {key: record.to_bytes()}
    record = CompletionRecord(image_digest(content), None, provenance)
    return record, {key: record.to_bytes(), content_key(record.digest): image_to_bytes(content)}


def content_key(digest: str) -> str:
    """Return the key of a generated image's bytes."""
    return key_for("content", digest=digest)


def content_digest(sample: Sample, modality: str) -> str | None:
    """Return the digest of a sample's real image or text, None where it is missing."""
    if modality == TEXT:
        return None if sample.text is None else text_digest(sample.text)
    return None if sample.image is None else sample.image.digest


def image_digest(image: "Image") -> str:
    """Hex SHA-256 of an image's size and pixels."""
    digest = hashlib.sha256(f"{image.mode}{image.size}".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def image_to_bytes(image: "Image") -> bytes:
    """Encode an image without loss (PNG)."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=_PNG_EFFORT)
    return buffer.getvalue()


def image_from_bytes(value: bytes) -> "Image":
    """Decode what `image_to_bytes` wrote."""
    from PIL import Image

    return Image.open(io.BytesIO(value), formats=["PNG"]).convert("RGB")


def load_image(sample: Sample) -> "Image":
    """Decode the image of a sample that has one.

    Raises:
        DataError: it cannot be decoded; names the image.
    """
    assert sample.image is not None
    return sample.image.load()
