"""The stages of the recipe, each of which resumes from its checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.pretraining.autoencoder import (
    AutoencoderTrainer,
    DecoderTrainer,
    load_autoencoder,
    refine_decoder,
    train_autoencoder,
)
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, encoder_to_captioner, save_captioner
from fedmvp_flwr.pretraining.checkpoints import Trained, stored_progress
from fedmvp_flwr.pretraining.encoder import EncoderTrainer, save_encoder
from fedmvp_flwr.pretraining.generator import GeneratorTrainer, build_generator, save_generator
from fedmvp_flwr.pretraining.job import Budget, Job
from fedmvp_flwr.pretraining.loop import train

ENCODER, CAPTIONER, GENERATOR = EncoderTrainer.name, CaptionerTrainer.name, GeneratorTrainer.name
AUTOENCODER, DECODER = AutoencoderTrainer.name, DecoderTrainer.name
# Share of the minutes, as the embedded models were given them.
SHARES: Mapping[str, float] = {
    ENCODER: 0.16,
    CAPTIONER: 0.25,
    AUTOENCODER: 0.06,
    GENERATOR: 0.47,
    DECODER: 0.06,
}
_PERCENT = 100


def train_all(job: Job, out: Path, on_progress: Progress | None = None) -> dict[str, Trained]:
    """Train all models of one job and save them; the captioner's image tower is the encoder's.

    Args:
        job: with the budget of all stages together in minutes, and of each in steps.
        out: gets the folders `encoder`, `captioner` and `generator`.
        on_progress: called with (stage, per cent, 100).

    Returns:
        What each stage came to, by its name.
    """
    stages = {name: _stage(job, name, share, on_progress) for name, share in SHARES.items()}
    encoder = job.build(EncoderTrainer)
    results = {ENCODER: train(stages[ENCODER], encoder)}
    save_encoder(encoder, job, out / ENCODER)
    captioner = job.build(CaptionerTrainer)
    encoder_to_captioner(encoder, captioner)
    results[CAPTIONER] = train(stages[CAPTIONER], captioner)
    save_captioner(captioner, job, out / CAPTIONER)
    latents = job.work / AUTOENCODER
    if not (latents.is_dir() and job.checkpoint(GENERATOR).exists()):
        autoencoder, results[AUTOENCODER] = train_autoencoder(stages[AUTOENCODER])
        autoencoder.save_pretrained(latents)
    else:  # other latents would make the generator's training worthless
        results[AUTOENCODER] = stored_progress(job.checkpoint(AUTOENCODER))
    generator = build_generator(job, load_autoencoder(latents))
    results[GENERATOR] = train(stages[GENERATOR], generator)
    refined, results[DECODER] = refine_decoder(load_autoencoder(latents), stages[DECODER])
    save_generator(generator, refined, job, out / GENERATOR)
    return results


def _stage(job: Job, name: str, share: float, show: Progress | None) -> Job:
    def on_progress(done: float) -> None:
        if show is not None:
            show(name, round(_PERCENT * min(1.0, done)), _PERCENT)

    budget = Budget(job.budget.steps, share * job.budget.minutes)
    return replace(job, budget=budget, on_progress=on_progress)
