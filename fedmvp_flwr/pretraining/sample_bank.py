"""The bank of a data set's own samples: images at the models' size, texts as they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion.prompts import TEMPLATES
from fedmvp_flwr.pretraining.bank import Index

# The prompts that completion will use: the captioner continues the first, the generator draws
# from the second.
CAPTION_PROMPTS = tuple(TEMPLATES[name].caption_prompt for name in ("coarse-to-fine", "detailed"))
IMAGE_PROMPTS = tuple(TEMPLATES[n].image_prompt for n in ("coarse", "coarse-to-fine", "detailed"))
_NO_PROMPT = 0.1  # share of empty prompts, so that guidance can be used


@dataclass(frozen=True)
class SampleBank:
    """Images and texts of complete samples (see `fedmvp_flwr.pretraining.bank.Bank`).

    Attributes:
        images: (N, S, S, 3) uint8, memory-mapped.
        captions: N texts.
        attributes: (N, 1) labels, or (N, 0) if the models may not learn from them.
        attribute_sizes: number of classes, or nothing.
    """

    images: NDArray[np.uint8]
    captions: tuple[str, ...]
    attributes: Tensor
    attribute_sizes: tuple[int, ...] = ()

    def texts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """The samples' texts."""
        return [self.captions[i] for i in index]

    def caption_pairs(self, index: Index, chance: np.random.Generator) -> list[tuple[str, str]]:
        """One of the captioner's prompts and the sample's text."""
        chosen = chance.integers(len(CAPTION_PROMPTS), size=len(index))
        return [(CAPTION_PROMPTS[c], self.captions[i]) for c, i in zip(chosen, index, strict=True)]

    def prompts(self, index: Index, chance: np.random.Generator) -> list[str]:
        """The sample's text in one of the templates; at times nothing."""
        chosen = chance.integers(len(IMAGE_PROMPTS), size=len(index))
        empty = chance.random(len(index)) < _NO_PROMPT
        return [
            "" if none else IMAGE_PROMPTS[c].replace("{}", self.captions[i])
            for c, i, none in zip(chosen, index, empty, strict=True)
        ]


def load_sample_bank(
    samples: Sequence[Sample], size: int, folder: Path, num_classes: int = 0
) -> SampleBank:
    """Decode the images of complete samples, or read them if that was done before.

    Args:
        samples: each with an image and a text.
        size: height and width that the images are resized to.
        folder: gets the decoded images.
        num_classes: if positive, the labels are the attributes that the models learn from.

    Raises:
        DataError: an image cannot be decoded; names it.
    """
    from PIL.Image import Resampling

    path = folder / f"images-{size}-{samples_hash(samples)[:16]}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npy")
        images = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.uint8, shape=(len(samples), size, size, 3)
        )
        for row, sample in enumerate(samples):
            if sample.image is not None:
                # As the models' own preprocessing does: bicubic, whatever the aspect.
                picture = (
                    sample.image.load().convert("RGB").resize((size, size), Resampling.BICUBIC)
                )
                images[row] = np.asarray(picture)
        images.flush()
        partial.replace(path)
    labels = [[sample.label] if num_classes else [] for sample in samples]
    return SampleBank(
        np.load(path, mmap_mode="r"),
        tuple(sample.text or "" for sample in samples),
        torch.tensor(labels, dtype=torch.int64).reshape(len(samples), -1),
        (num_classes,) if num_classes else (),
    )


def samples_hash(samples: Sequence[Sample]) -> str:
    """Hex SHA-256 of the digests of all images and texts, in their order."""
    pairs = [
        [sample.image.digest if sample.image else None, text_digest(sample.text or "")]
        for sample in samples
    ]
    return record_hash({"samples": pairs})
