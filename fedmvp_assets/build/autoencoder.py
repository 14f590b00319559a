"""The generator's latent space: a small AutoencoderTiny (diffusers), 48 px <-> 12 x 12 x 8."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_assets.build.bank import Bank
from fedmvp_assets.build.loop import Job, fit
from fedmvp_flwr.seeds import numpy_generator, torch_generator

LATENT_CHANNELS = 8
_CHANNELS = 48
_BATCH = 16
_RATE = 2e-3
_MATRIX_RATE = 0.02
_EMA = 0.98
_REFINING = 0.5  # rates of the decoder's second training, as shares of the first's
_LATENT_NOISE = 0.1  # of the latents' spread: the decoder must forgive the generator's slips
_LATENT_PENALTY = 1e-3
_STATISTICS = 512  # pictures that the latent scale is measured on


def build_autoencoder() -> Any:  # noqa: ANN401 - diffusers is imported here only
    """The untrained autoencoder: two halvings, a few blocks at each resolution."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(_CHANNELS,) * 3,
        decoder_block_out_channels=(_CHANNELS,) * 3,
        num_encoder_blocks=(0, 1, 2),
        num_decoder_blocks=(2, 1, 1),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )


class AutoencoderTrainer(nn.Module):
    """The autoencoder and its loss."""

    def __init__(self, model: Any = None) -> None:  # noqa: ANN401
        super().__init__()
        model = build_autoencoder() if model is None else model
        self.model = model.to(memory_format=torch.channels_last)

    def loss(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Absolute and squared error of the decoded noisy latents, and a penalty on their size."""
        latents = self.model.encoder(pixels)
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        spread = _LATENT_NOISE * latents.detach().std()
        decoded = self.model.decoder(latents + spread * noise)
        error = F.l1_loss(decoded, pixels) + F.mse_loss(decoded, pixels)
        return error + _LATENT_PENALTY * latents.square().mean()


def train_autoencoder(job: Job) -> Any:  # noqa: ANN401
    """Train the autoencoder on drawn flowers; returns it with its latent scale set."""
    torch.manual_seed(job.seed)
    trainer = AutoencoderTrainer().to(job.device)

    def loss_of(step: int) -> Tensor:
        _, index = job.batch("autoencoder", step, _BATCH)
        pixels = job.bank.pixels(index, job.device).contiguous(memory_format=torch.channels_last)
        return trainer.loss(pixels, torch_generator(job.seed, "autoencoder", step))

    fit(
        trainer,
        loss_of,
        job.budget,
        learning_rate=_RATE,
        matrix_rate=_MATRIX_RATE,
        checkpoint=job.work / "autoencoder.safetensors",
        ema_decay=_EMA,
    )
    return set_scale(trainer.model.cpu(), job.bank, job.seed)


def refine_decoder(model: Any, job: Job) -> Any:  # noqa: ANN401
    """Train the decoder on, with the latents as they are: the generator need not be repeated."""
    trainer = AutoencoderTrainer(model).to(job.device)
    trainer.model.encoder.requires_grad_(False)

    def loss_of(step: int) -> Tensor:
        _, index = job.batch("decoder", step, _BATCH)
        pixels = job.bank.pixels(index, job.device).contiguous(memory_format=torch.channels_last)
        return trainer.loss(pixels, torch_generator(job.seed, "decoder", step))

    fit(
        trainer.model.decoder,
        loss_of,
        job.budget,
        learning_rate=_REFINING * _RATE,
        matrix_rate=_REFINING * _MATRIX_RATE,
        checkpoint=job.work / "decoder.safetensors",
        ema_decay=_EMA,
    )
    return trainer.model.cpu().eval()


@torch.inference_mode()
def set_scale(model: Any, bank: Bank, seed: int) -> Any:  # noqa: ANN401
    """Set the scaling factor that gives the latents unit variance."""
    index = numpy_generator(seed, "latent-scale").choice(
        len(bank), min(_STATISTICS, len(bank)), replace=False
    )
    std = float(model.eval().encoder(bank.pixels(index)).std())
    model.register_to_config(scaling_factor=round(1 / std, 4))
    return model
