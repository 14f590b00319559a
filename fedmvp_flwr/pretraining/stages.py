"""The stages of the recipe, each of which resumes from its checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.pretraining.autoencoder import (
    AutoencoderTrainer,
    DecoderTrainer,
    load_autoencoder,
    refine_decoder,
    save_autoencoder,
    train_autoencoder,
)
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, encoder_to_captioner, save_captioner
from fedmvp_flwr.pretraining.checkpoints import Trained, stored_progress, use_average
from fedmvp_flwr.pretraining.encoder import EncoderTrainer, save_encoder
from fedmvp_flwr.pretraining.generator import GeneratorTrainer, build_generator, save_generator
from fedmvp_flwr.pretraining.job import Job, train
from fedmvp_flwr.pretraining.loop import Budget

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


@dataclass(frozen=True)
class Stages:
    """Trains all models of one job and saves them.

    Attributes:
        job: with the budget of all stages together in minutes, and of each in steps.
        out: gets the folders `encoder`, `captioner` and `generator`.
        on_progress: called with (stage, per cent, 100).
    """

    job: Job
    out: Path
    on_progress: Progress | None = None

    def run(self) -> dict[str, Trained]:
        """Train every model; the captioner's image tower starts from the encoder's."""
        results = {ENCODER: self._encoder(), CAPTIONER: self._captioner()}
        job = self._job(AUTOENCODER)
        if not (self._latents.is_dir() and job.checkpoint(GENERATOR).exists()):
            model, results[AUTOENCODER] = train_autoencoder(job)
            save_autoencoder(model, self._latents)
        else:  # other latents would make the generator's training worthless
            results[AUTOENCODER] = stored_progress(job.checkpoint(AUTOENCODER))
        job = self._job(GENERATOR)
        generator = build_generator(job, load_autoencoder(self._latents))
        results[GENERATOR] = train(job, generator)
        model, results[DECODER] = refine_decoder(
            load_autoencoder(self._latents), self._job(DECODER)
        )
        save_generator(generator, model, job.tokenizer, job.shape, self.out / GENERATOR)
        return results

    def _encoder(self) -> Trained:
        job = self._job(ENCODER)
        trainer = job.build(EncoderTrainer)
        trained = train(job, trainer)
        save_encoder(trainer, job.tokenizer, job.shape, self.out / ENCODER)
        return trained

    def _captioner(self) -> Trained:
        job = self._job(CAPTIONER)
        trainer = job.build(CaptionerTrainer)
        encoder = use_average(job.build(EncoderTrainer), job.checkpoint(ENCODER))
        encoder_to_captioner(encoder, trainer)
        trained = train(job, trainer)
        save_captioner(trainer, job.tokenizer, job.shape, self.out / CAPTIONER)
        return trained

    @property
    def _latents(self) -> Path:
        return self.job.work / AUTOENCODER

    def _job(self, stage: str) -> Job:
        budget = Budget(self.job.budget.steps, SHARES[stage] * self.job.budget.minutes)
        show = self.on_progress

        def on_progress(share: float) -> None:
            if show is not None:
                show(stage, round(_PERCENT * min(1.0, share)), _PERCENT)

        return replace(self.job, budget=budget, on_progress=on_progress)
