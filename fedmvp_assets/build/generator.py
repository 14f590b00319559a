"""The embedded image generator: a small PixArt (diffusers) on the autoencoder's latents.

Trained by flow matching (Lipman et al. 2022): latents x0 and noise e are mixed to
(1 - s) x0 + s e, and the transformer predicts e - x0; a few solver steps draw a picture.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_assets.build import words
from fedmvp_assets.build.autoencoder import LATENT_CHANNELS
from fedmvp_assets.build.bank import Bank
from fedmvp_assets.build.captioner import load_in_single_precision
from fedmvp_assets.build.loop import Job, fit
from fedmvp_flwr.data import flora
from fedmvp_flwr.data.flora_render import IMAGE_SIZE
from fedmvp_flwr.seeds import torch_generator

LATENT_SIZE = IMAGE_SIZE // 4  # the autoencoder halves twice
_BATCH = 48
_RATE = 1.5e-3
_MATRIX_RATE = 0.015
_EMA = 0.998
_NO_PROMPT = 0.1  # share of empty prompts, so that guidance can be used
_NOISE_MEAN, _NOISE_STD = (
    0.2,
    1.2,
)  # of the logit of the noise share (logit-normal, Esser et al. 2024)
_TIMESTEPS = 1000
_TEXT_WIDTH = 128
_HEADS, _HEAD_WIDTH, _LAYERS = 5, 32, 6
_ENCODE_BATCH = 250
CALL = {
    "num_inference_steps": 5,
    "guidance_scale": 2.0,
    "height": IMAGE_SIZE,
    "width": IMAGE_SIZE,
    "max_sequence_length": words.MAX_TOKENS,
    "use_resolution_binning": False,
    "clean_caption": False,
}
_PROMPTS = ("{}", "a picture of {}", "a detailed picture of {}")


class GeneratorTrainer(nn.Module):
    """Text encoder and latent transformer, trained together."""

    def __init__(self) -> None:
        super().__init__()
        from diffusers import PixArtTransformer2DModel
        from transformers import T5Config, T5EncoderModel

        self.text_encoder = T5EncoderModel(
            T5Config(
                vocab_size=len(words.vocabulary()),
                d_model=_TEXT_WIDTH,
                d_kv=_TEXT_WIDTH // 4,
                d_ff=2 * _TEXT_WIDTH,
                num_layers=2,
                num_heads=4,
                dropout_rate=0.0,
                pad_token_id=0,
            )
        )
        width = _HEADS * _HEAD_WIDTH
        self.transformer = PixArtTransformer2DModel(
            sample_size=LATENT_SIZE,
            patch_size=2,
            num_layers=_LAYERS,
            num_attention_heads=_HEADS,
            attention_head_dim=_HEAD_WIDTH,
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            cross_attention_dim=width,
            caption_channels=_TEXT_WIDTH,
            use_additional_conditions=False,
        )

    def loss(
        self, latents: Tensor, ids: Tensor, mask: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Squared error of the predicted flow.

        Args:
            latents: (B, C, 12, 12), scaled to unit variance.
            ids: (B, L) prompt tokens.
            mask: (B, L), 1 on real tokens.
            generator: draws the noise and its share.
        """
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        logit = torch.randn(len(latents), generator=generator) * _NOISE_STD + _NOISE_MEAN
        share = logit.sigmoid().to(latents.device)
        mixed = torch.lerp(latents, noise, share[:, None, None, None])
        predicted = self.transformer(
            mixed,
            encoder_hidden_states=self.text_encoder(ids, attention_mask=mask)[0],
            encoder_attention_mask=mask,
            timestep=share * _TIMESTEPS,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return F.mse_loss(predicted, noise - latents)


def train_generator(job: Job, autoencoder: Any) -> GeneratorTrainer:  # noqa: ANN401
    """Train the generator on the latents of drawn flowers and their captions."""
    torch.manual_seed(job.seed)
    trainer = GeneratorTrainer().to(job.device)
    tokenizer = words.build_tokenizer()
    latents = encode_bank(autoencoder, job.bank)

    def loss_of(step: int) -> Tensor:
        generator, index = job.batch("generator", step, _BATCH)
        prompts = [random_prompt(job.bank.specs[i], generator) for i in index]
        tokens = tokenizer(prompts, padding=True, return_tensors="pt").to(job.device)
        return trainer.loss(
            latents[torch.from_numpy(index)].float().to(job.device),
            tokens.input_ids,
            tokens.attention_mask,
            torch_generator(job.seed, "generator", step),
        )

    fit(
        trainer,
        loss_of,
        job.budget,
        learning_rate=_RATE,
        matrix_rate=_MATRIX_RATE,
        checkpoint=job.work / "generator.safetensors",
        ema_decay=_EMA,
    )
    return trainer.cpu()


def random_prompt(spec: flora.FlowerSpec, generator: np.random.Generator) -> str:
    """A prompt as it may come: a caption, partial or full, in a template; at times empty."""
    chance = generator.random()
    if chance < _NO_PROMPT:
        return ""
    text = words.full_caption(spec) if chance < 2 * _NO_PROMPT else flora.caption(spec, generator)
    return _PROMPTS[int(generator.integers(len(_PROMPTS)))].format(text)


@torch.inference_mode()
def encode_bank(autoencoder: Any, bank: Bank) -> Tensor:  # noqa: ANN401
    """Latents (N, C, 12, 12) of all pictures in half precision, scaled to unit variance."""
    scale = autoencoder.config.scaling_factor
    parts = [
        (
            autoencoder.encoder(
                bank.pixels(np.arange(start, min(start + _ENCODE_BATCH, len(bank))))
            )
            * scale
        ).half()
        for start in range(0, len(bank), _ENCODE_BATCH)
    ]
    return torch.cat(parts)


def build_pipeline(trainer: GeneratorTrainer, autoencoder: Any) -> Any:  # noqa: ANN401
    """The diffusers pipeline of the trained parts."""
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline

    return PixArtAlphaPipeline(
        tokenizer=words.build_tokenizer(),
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


def save_generator(trainer: GeneratorTrainer, autoencoder: Any, folder: Path) -> None:  # noqa: ANN401
    """Write the pipeline as `from_pretrained` wants it, in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = build_pipeline(trainer, autoencoder)
    pipeline.to(torch.float16).save_pretrained(folder)
    pipeline.to(torch.float32)
    load_in_single_precision(folder / "text_encoder" / "config.json")
    _forget_origin(folder / "vae" / "config.json")
    (folder / "fedmvp.json").write_text(json.dumps({"call": CALL}, indent=2) + "\n")


def _forget_origin(config: Path) -> None:
    """Remove the folder of the work machine that diffusers notes in a configuration."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
