"""Figures of the finished models on held-out pairs; none of them needs a label.

The models are loaded as a run loads them, so that what is measured is what will be used.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.pretraining.bank import Bank, pixels_of
from fedmvp_flwr.pretraining.sample_bank import CAPTION_PROMPTS
from fedmvp_flwr.quality.overlap import rouge_l

TOP = 5
_BATCH = 50
_MAX_CAPTIONS = 100
_EXAMPLES = 3


def measure_encoder(models: FoundationModels, samples: Sequence[Sample]) -> dict[str, float]:
    """Retrieval among the held-out pairs: share of them whose partner is among the nearest five."""
    image = _pooled(models.image_encoder, [s.image.load() for s in samples if s.image])
    text = _pooled(models.text_encoder, [s.text for s in samples])
    similarity = F.normalize(image, dim=1) @ F.normalize(text, dim=1).T
    return {
        "image-to-text-r5": recall(similarity),
        "text-to-image-r5": recall(similarity.T),
        "chance-r5": min(1.0, TOP / len(samples)),
        "pairs": len(samples),
    }


def measure_captioner(models: FoundationModels, samples: Sequence[Sample]) -> dict[str, Any]:
    """ROUGE-L of captions with the images' own texts, and with those of other images."""
    shown = samples[:_MAX_CAPTIONS]
    captions: list[str] = []
    for start in range(0, len(shown), _BATCH):
        images = [s.image.load() for s in shown[start : start + _BATCH] if s.image]
        captions += models.captioner.caption_each(images, CAPTION_PROMPTS[:1])[0]
    # The model knows only the beginning of a long text, so that is what it is compared with.
    own = [_beginning(s.text or "", caption) for s, caption in zip(shown, captions, strict=True)]
    others = [
        _beginning(shown[(row + 1) % len(shown)].text or "", caption)
        for row, caption in enumerate(captions)
    ]
    return {
        "rouge-l": _mean([rouge_l(c, text) for c, text in zip(captions, own, strict=True)]),
        "rouge-l-of-another": _mean(
            [rouge_l(c, text) for c, text in zip(captions, others, strict=True)]
        ),
        "distinct": len(set(captions)) / len(captions),
        "captions": len(captions),
        "examples": captions[:_EXAMPLES],
    }


@torch.inference_mode()
def measure_autoencoder(model: Any, bank: Bank) -> dict[str, float]:  # noqa: ANN401 - untyped
    """Mean absolute error of decoded images, and that of the mean image; pixels in [0, 1]."""
    index = np.arange(len(bank.images))
    pixels = pixels_of(bank, index)
    parts = [model.decoder(model.encoder(part)) for part in pixels.split(_BATCH)]
    decoded = torch.cat(parts).clamp(-1, 1)
    return {
        "mean-absolute-error": float((decoded - pixels).abs().mean()) / 2,
        "of-the-mean-image": float((pixels - pixels.mean(dim=0)).abs().mean()) / 2,
        "images": len(index),
    }


def measure_generator(
    models: FoundationModels, samples: Sequence[Sample], seed: int
) -> dict[str, float]:
    """How often the own encoder finds the text of a generated image among the nearest five."""
    shown = samples[:_BATCH]
    prompts = [s.text or "" for s in shown]
    seeds = [seed_for(seed, "pretrain-measure", s.key) for s in shown]
    images = models.image_generator.generate(prompts, seeds)
    image = F.normalize(_pooled(models.image_encoder, images), dim=1)
    text = F.normalize(_pooled(models.text_encoder, prompts), dim=1)
    return {
        "image-to-text-r5": recall(image @ text.T),
        "chance-r5": min(1.0, TOP / len(shown)),
        "images": len(shown),
    }


def recall(similarity: Tensor) -> float:
    """Share of the rows (N, N) whose diagonal entry is among their five largest."""
    top = similarity.topk(min(TOP, similarity.shape[1]), dim=1).indices
    return float((top == torch.arange(len(top))[:, None]).any(dim=1).float().mean())


def _pooled(encoder: Any, items: Sequence[Any]) -> Tensor:  # noqa: ANN401 - either encoder
    features = [
        made for i in range(0, len(items), _BATCH) for made in encoder.encode(items[i : i + _BATCH])
    ]
    return torch.stack([made.pooled.float() for made in features])


def _beginning(text: str, caption: str) -> str:
    return " ".join(text.split()[: max(1, len(caption.split()))])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
