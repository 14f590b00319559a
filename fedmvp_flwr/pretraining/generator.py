"""An image generator: a small PixArt (diffusers) on the autoencoder's latents.

Trained by flow matching (Lipman et al. 2022): latents x0 and noise e are mixed to
(1 - s) x0 + s e, and the transformer predicts e - x0; a few solver steps draw an image.
"""

import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp_flwr.pretraining.autoencoder import encode_bank
from fedmvp_flwr.pretraining.captioner import load_in_single_precision
from fedmvp_flwr.pretraining.job import Draw, Job, Rates, Trainer, seeded
from fedmvp_flwr.pretraining.tokenizer import plain

# Of the logit of the noise share (logit-normal, Esser et al. 2024).
_NOISE_MEAN, _NOISE_STD = 0.2, 1.2
_TIMESTEPS = 1000
_PATCH = 2  # of the latents


class GeneratorTrainer(Trainer):
    """Text encoder and latent transformer, trained together.

    Args:
        job: with the shape and the tokenizer.
        latents: (N, C, s, s) of the bank's images, to learn from.
    """

    name = "generator"
    rates = Rates(batch=48, learning_rate=1.5e-3, matrix_rate=0.015, ema_decay=0.998)

    def __init__(self, job: Job, latents: Tensor | None) -> None:
        super().__init__()
        from diffusers import PixArtTransformer2DModel
        from transformers import T5Config, T5EncoderModel

        self._latents, shape = latents, job.shape
        self.text_encoder: Any = T5EncoderModel(
            T5Config(
                vocab_size=len(job.tokenizer),
                d_model=shape.width,
                d_kv=shape.width // shape.heads,
                d_ff=2 * shape.width,
                num_layers=shape.text_layers,
                num_heads=shape.heads,
                dropout_rate=0.0,
                pad_token_id=0,
            )
        )
        self.transformer: Any = PixArtTransformer2DModel(
            sample_size=shape.latent_size,
            patch_size=_PATCH,
            num_layers=shape.generator_layers,
            num_attention_heads=shape.generator_heads,
            attention_head_dim=shape.generator_head_width,
            in_channels=shape.latent_channels,
            out_channels=shape.latent_channels,
            cross_attention_dim=shape.generator_heads * shape.generator_head_width,
            caption_channels=shape.width,
            use_additional_conditions=False,
        )

    def loss(self, draw: Draw) -> Tensor:
        """Squared error of the flow that is predicted from noisy latents and prompts."""
        assert self._latents is not None
        job = draw.job
        tokens = job.tokens(job.bank.prompts(draw.index, draw.chance))
        ids, mask = tokens.input_ids, tokens.attention_mask
        latents = self._latents[torch.from_numpy(draw.index)].float().to(job.device)
        noise = torch.randn(latents.shape, generator=draw.noise).to(latents.device)
        logit = torch.randn(len(latents), generator=draw.noise) * _NOISE_STD + _NOISE_MEAN
        share = logit.sigmoid().to(latents.device)
        mixed = torch.lerp(latents, noise, share[:, None, None, None])
        predicted: Tensor = self.transformer(
            mixed,
            encoder_hidden_states=self.text_encoder(ids, attention_mask=mask)[0],
            encoder_attention_mask=mask,
            timestep=share * _TIMESTEPS,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return F.mse_loss(predicted, noise - latents)


def build_generator(job: Job, autoencoder: Any = None) -> GeneratorTrainer:  # noqa: ANN401
    """The untrained generator of a job; it learns from the latents of the autoencoder."""
    latents = None if autoencoder is None else encode_bank(autoencoder, job.bank, job.device)
    return seeded(job.seed, lambda: GeneratorTrainer(job, latents))


def save_generator(
    trainer: GeneratorTrainer,
    autoencoder: Any,  # noqa: ANN401 - an untyped library's object
    job: Job,
    folder: Path,
) -> None:
    """Write the pipeline of the trained parts as `from_pretrained` wants it, in half precision.

    Beside it stands how it is to be called: with what the model was made for.
    """
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline

    pipeline: Any = PixArtAlphaPipeline(
        tokenizer=plain(job.tokenizer),
        text_encoder=trainer.text_encoder,
        vae=autoencoder,
        transformer=trainer.transformer,
        scheduler=DPMSolverMultistepScheduler(
            num_train_timesteps=_TIMESTEPS,
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            flow_shift=1.0,
        ),
    )

    pipeline.to(torch.float16).save_pretrained(folder)
    pipeline.to(torch.float32)
    load_in_single_precision(folder / "text_encoder" / "config.json")
    config = folder / "vae" / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)  # the folder of the work machine, which diffusers notes
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    call = {
        "num_inference_steps": 5,
        "guidance_scale": 2.0,
        "height": job.shape.image_size,
        "width": job.shape.image_size,
        "max_sequence_length": job.shape.context,
        "use_resolution_binning": False,
        "clean_caption": False,
    }
    (folder / "fedmvp.json").write_text(json.dumps({"call": call}, indent=2) + "\n")
