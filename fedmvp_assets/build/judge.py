"""The judge: a small convolutional attribute classifier that measures generated pictures.

Trained on drawn flowers alone, apart from the models that it judges; it is not shipped.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_assets.build.bank import ATTRIBUTES
from fedmvp_flwr.pretraining.job import Draw, Rates, Trainer

_CHANNELS = (24, 48, 96)  # each layer halves the picture
_MAX_BLUR = 0.5  # share of a blurred copy: generated pictures are softer than drawn ones
_MAX_NOISE = 0.06  # of pixels in [-1, 1]
_PREDICT_BATCH = 250


class Judge(Trainer):
    """Strided convolutions, mean and maximum over the picture, one linear head per attribute."""

    name = "judge"
    rates = Rates(batch=64, learning_rate=3e-3, matrix_rate=0.02, ema_decay=0.98)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels in _CHANNELS:
            layers += [
                nn.Conv2d(before, channels, 3, stride=2, padding=1),
                nn.GroupNorm(4, channels),
                nn.SiLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.GroupNorm(4, channels),
                nn.SiLU(),
            ]
            before = channels
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * before, 2 * before)
        self.heads = nn.ModuleList(nn.Linear(2 * before, len(v)) for v in ATTRIBUTES.values())

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Logits per attribute, in the order of `ATTRIBUTES`, of (B, 3, S, S) in [-1, 1]."""
        seen = self.body(pixels)
        pooled = torch.cat([seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))], dim=1)
        hidden = F.silu(self.hidden(pooled))
        return [head(hidden) for head in self.heads]

    def loss(self, draw: Draw) -> Tensor:
        """Mean cross-entropy on drawn flowers, slightly blurred and noisy ones among them."""
        logits = self(_soften(draw.pixels, draw.noise))
        target = draw.attributes
        losses = [F.cross_entropy(part, target[:, i]) for i, part in enumerate(logits)]
        return torch.stack(losses).mean()

    @torch.inference_mode()
    def predict(self, pixels: Tensor) -> Tensor:
        """Value indices (B, 5)."""
        self.eval()
        return torch.cat(
            [
                torch.stack([logits.argmax(dim=1) for logits in self(part)], dim=1)
                for part in pixels.split(_PREDICT_BATCH)
            ]
        )


def accuracy(judge: Judge, pixels: Tensor, attributes: Tensor) -> dict[str, float]:
    """Share of right values per attribute."""
    right = (judge.predict(pixels) == attributes).float().mean(dim=0)
    return dict(zip(ATTRIBUTES, right.tolist(), strict=True))


def to_pixels(images: list[np.ndarray]) -> Tensor:
    """(N, 3, S, S) in [-1, 1] from RGB pictures (S, S, 3) of uint8."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _soften(pixels: Tensor, generator: torch.Generator) -> Tensor:
    blurred = F.avg_pool2d(pixels, 3, stride=1, padding=1, count_include_pad=False)
    share = torch.rand(len(pixels), 1, 1, 1, generator=generator) * _MAX_BLUR
    noise = torch.randn(pixels.shape, generator=generator)
    strength = torch.rand(len(pixels), 1, 1, 1, generator=generator) * _MAX_NOISE
    added = (strength * noise).to(pixels.device)
    return torch.lerp(pixels, blurred, share.to(pixels.device)) + added
