"""Figures of the finished models on held-out pairs; none of them needs a label.

The models are loaded as a run loads them, so that what is measured is what will be used.
"""

import statistics
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
    similarity = image @ text.T
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
    texts = [s.text or "" for s in shown]
    return {
        "rouge-l": _mean_overlap(captions, texts),
        "rouge-l-of-another": _mean_overlap(captions, texts[1:] + texts[:1]),
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
    similarity = _pooled(models.image_encoder, images) @ _pooled(models.text_encoder, prompts).T
    return {
        "image-to-text-r5": recall(similarity),
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
    return F.normalize(torch.stack([made.pooled.float() for made in features]), dim=1)


def _mean_overlap(captions: Sequence[str], texts: Sequence[str]) -> float:
    """Mean ROUGE-L with the beginnings of the texts: of a long one the model knows no more."""
    beginnings = [
        " ".join(text.split()[: max(1, len(caption.split()))])
        for caption, text in zip(captions, texts, strict=True)
    ]
    return statistics.fmean(map(rouge_l, captions, beginnings))
