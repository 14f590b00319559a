"""The generator's latent space: a small AutoencoderTiny (diffusers) that halves images twice."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp_flwr.base.seeds import numpy_generator
from fedmvp_flwr.pretraining.bank import Bank, pixels_of
from fedmvp_flwr.pretraining.checkpoints import Trained
from fedmvp_flwr.pretraining.job import Draw, Job, Rates, Trainer, seeded
from fedmvp_flwr.pretraining.loop import train
from fedmvp_flwr.pretraining.shape import Shape

_LATENT_NOISE = 0.1  # of the latents' spread: the decoder must forgive the generator's slips
_LATENT_PENALTY = 1e-3
_STATISTICS = 512  # images that the latent scale is measured on
_ENCODE_BATCH = 250


def build_autoencoder(shape: Shape) -> Any:  # noqa: ANN401 - diffusers is imported here only
    """The untrained autoencoder: two halvings, a few blocks at each resolution."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(shape.autoencoder_width,) * 3,
        decoder_block_out_channels=(shape.autoencoder_width,) * 3,
        num_encoder_blocks=(0, 1, 2),
        num_decoder_blocks=(2, 1, 1),
        latent_channels=shape.latent_channels,
        scaling_factor=1.0,
    )


class AutoencoderTrainer(Trainer):
    """The autoencoder and its loss."""

    name = "autoencoder"
    rates = Rates(batch=16, learning_rate=2e-3, matrix_rate=0.02, ema_decay=0.98)

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - an untyped library's object
        super().__init__()
        self.model = model.to(memory_format=torch.channels_last)

    def loss(self, draw: Draw) -> Tensor:
        """Absolute and squared error of the decoded noisy latents, and a penalty on their size."""
        pixels = draw.pixels.contiguous(memory_format=torch.channels_last)
        latents = self.model.encoder(pixels)
        noise = torch.randn(latents.shape, generator=draw.noise).to(latents.device)
        spread = _LATENT_NOISE * latents.detach().std()
        decoded = self.model.decoder(latents + spread * noise)
        error = F.l1_loss(decoded, pixels) + F.mse_loss(decoded, pixels)
        total: Tensor = error + _LATENT_PENALTY * latents.square().mean()
        return total


class DecoderTrainer(AutoencoderTrainer):
    """Trains the decoder on at half the rates, with the latents as they are."""

    name = "decoder"
    rates = Rates(batch=16, learning_rate=1e-3, matrix_rate=0.01, ema_decay=0.98)

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - an untyped library's object
        super().__init__(model)
        self.model.encoder.requires_grad_(False)


def train_autoencoder(job: Job) -> tuple[Any, Trained]:
    """Train the autoencoder on the images; returns it with its latent scale set."""
    trainer = seeded(job.seed, lambda: AutoencoderTrainer(build_autoencoder(job.shape)))
    trained = train(job, trainer)
    return set_scale(trainer.model, job.bank, job.seed), trained


def refine_decoder(model: Any, job: Job) -> tuple[Any, Trained]:  # noqa: ANN401
    """Train the decoder on: the generator need not be repeated."""
    trained = train(job, DecoderTrainer(model))
    return model.eval(), trained


def load_autoencoder(folder: Path) -> Any:  # noqa: ANN401
    """Read what its `save_pretrained` wrote."""
    from diffusers import AutoencoderTiny
    from diffusers.utils import is_accelerate_available

    low_memory = is_accelerate_available()  # it would warn about its own default
    return AutoencoderTiny.from_pretrained(folder, low_cpu_mem_usage=low_memory).eval()


@torch.inference_mode()
def set_scale(model: Any, bank: Bank, seed: int) -> Any:  # noqa: ANN401
    """Set the scaling factor that gives the latents unit variance."""
    count = len(bank.images)
    index = numpy_generator(seed, "latent-scale").choice(
        count, min(_STATISTICS, count), replace=False
    )
    std = float(model.eval().encoder(pixels_of(bank, index)).std())
    model.register_to_config(scaling_factor=round(1 / std, 4))
    return model


@torch.inference_mode()
def encode_bank(model: Any, bank: Bank, device: str = "cpu") -> Tensor:  # noqa: ANN401
    """Latents (N, C, s, s) of all images in half precision, scaled to unit variance."""
    model = model.to(device)
    every = np.arange(len(bank.images))
    parts = []
    for start in range(0, len(every), _ENCODE_BATCH):
        pixels = pixels_of(bank, every[start : start + _ENCODE_BATCH], device)
        parts.append((model.encoder(pixels) * model.config.scaling_factor).half().cpu())
    model.cpu()
    return torch.cat(parts)
