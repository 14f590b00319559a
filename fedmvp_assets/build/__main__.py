"""One command that makes the embedded models: `python -m fedmvp_assets.build`.

Every stage resumes from its checkpoint in the work folder, so that it can be interrupted and given
more minutes later.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from fedmvp_assets.build import bars, card, words
from fedmvp_assets.build.bank import FlowerBank, load_bank
from fedmvp_assets.build.judge import Judge
from fedmvp_assets.build.transplant import captioner_to_encoder
from fedmvp_flwr.data.sources.flora_render import IMAGE_SIZE
from fedmvp_flwr.pretraining.autoencoder import (
    load_autoencoder,
    refine_decoder,
    train_autoencoder,
)
from fedmvp_flwr.pretraining.captioner import CaptionerTrainer, encoder_to_captioner, save_captioner
from fedmvp_flwr.pretraining.checkpoints import use_average
from fedmvp_flwr.pretraining.encoder import EncoderTrainer, save_encoder
from fedmvp_flwr.pretraining.generator import build_generator, save_generator
from fedmvp_flwr.pretraining.job import Budget, Job, seeded
from fedmvp_flwr.pretraining.loop import train
from fedmvp_flwr.pretraining.shape import Shape

_PACKAGE = Path(__file__).resolve().parents[1]
# Of training on one CPU core; the published models took about as long.
_MINUTES = {
    "captioner": 25.0,
    "encoder": 16.0,
    "autoencoder": 6.0,
    "generator": 46.0,
    "decoder": 6.0,
    "judge": 3.0,
}
STAGES = (*_MINUTES, "bars", "card")
SHAPE = Shape(
    image_size=IMAGE_SIZE,
    patch=8,
    width=128,
    heads=4,
    vision_layers=4,
    text_layers=2,
    context=words.MAX_TOKENS,
    autoencoder_width=48,
    latent_channels=8,
    generator_heads=5,
    generator_head_width=32,
    generator_layers=6,
)
_MAX_STEPS = 1_000_000  # the minutes decide
_TEST_PICTURES = 2000
_MEASURED = 300  # pictures that captions and generated images are measured on


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m fedmvp_assets.build", description=__doc__)
    parser.add_argument(
        "--only", choices=STAGES, action="append", help="run this stage; repeatable"
    )
    parser.add_argument("--out", type=Path, default=_PACKAGE, help="gets models/ and MODEL_CARD.md")
    parser.add_argument("--work-dir", type=Path, default=Path("runs/assets"), help="checkpoints")
    parser.add_argument("--minutes", type=float, help="of training per model")
    parser.add_argument("--steps", type=int, default=_MAX_STEPS, help="of training, at most")
    parser.add_argument("--pictures", type=int, default=30_000, help="drawn for the training")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chosen stages, or all of them in order."""
    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    builder = Builder(options)
    for stage in STAGES:
        if options.only is None or stage in options.only:
            getattr(builder, f"build_{stage}")()


class Builder:
    """The stages, each of which reads what earlier ones left in the work folder."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Take the parsed command line."""
        self.options = options
        self.work: Path = options.work_dir
        self.models: Path = options.out / "models"
        self._banks: dict[str, FlowerBank] = {}

    def build_captioner(self) -> None:
        """Train and save the captioner; its image tower starts from the encoder's, if there."""
        job = self._job("captioner")
        trainer = job.build(CaptionerTrainer)
        if job.checkpoint("encoder").exists():
            encoder = use_average(job.build(EncoderTrainer), job.checkpoint("encoder"))
            encoder_to_captioner(encoder, trainer)
        train(job, trainer)
        save_captioner(trainer, job, self.models / "captioner")

    def build_encoder(self) -> None:
        """Train and save the encoder; its image tower starts from the captioner's, if there."""
        job = self._job("encoder")
        trainer = job.build(EncoderTrainer)
        if job.checkpoint("captioner").exists():
            captioner = use_average(job.build(CaptionerTrainer), job.checkpoint("captioner"))
            captioner_to_encoder(captioner, trainer)
        train(job, trainer)
        save_encoder(trainer, job, self.models / "encoder")

    def build_autoencoder(self) -> None:
        """Train the autoencoder, whose latents the generator will learn."""
        model, _ = train_autoencoder(self._job("autoencoder"))
        model.save_pretrained(self.work / "autoencoder")

    def build_generator(self) -> None:
        """Train and save the generator."""
        job, autoencoder = self._job("generator"), load_autoencoder(self.work / "autoencoder")
        trainer = build_generator(job, autoencoder)
        train(job, trainer)
        save_generator(trainer, autoencoder, job, self.models / "generator")

    def build_decoder(self) -> None:
        """Train the autoencoder's decoder on, and save the generator with it."""
        job = self._job("decoder")
        model, _ = refine_decoder(load_autoencoder(self.work / "autoencoder"), job)
        model.save_pretrained(self.work / "decoder")
        trainer = use_average(build_generator(job), job.checkpoint("generator"))
        save_generator(trainer, model, job, self.models / "generator")

    def build_judge(self) -> None:
        """Train the judge, which stays in the work folder."""
        job = self._job("judge")
        train(job, seeded(job.seed, Judge))

    def build_bars(self) -> None:
        """Measure the saved models and write metrics.json."""
        bank, seed = self._bank("test"), self.options.seed
        judge = use_average(Judge(), self.work / "judge.safetensors")
        folders = {name: self.models / name for name in ("encoder", "captioner", "generator")}
        metrics = {
            "encoder": bars.measure_encoder(folders["encoder"], bank, seed),
            "captioner": bars.measure_captioner(folders["captioner"], bank, _MEASURED),
            "generator": bars.measure_generator(folders["generator"], bank, judge, _MEASURED, seed),
            "judge": bars.measure_judge(judge, load_autoencoder(self.work / "decoder"), bank),
            "megabytes": {name: bars.folder_megabytes(path) for name, path in folders.items()},
            "threads": self.options.threads,
        }
        self._metrics_path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")

    def build_card(self) -> None:
        """Write the model card from metrics.json."""
        metrics = json.loads(self._metrics_path.read_text(encoding="utf-8"))
        path: Path = self.options.out / "MODEL_CARD.md"
        path.write_text(card.model_card(metrics), encoding="utf-8")

    @property
    def _metrics_path(self) -> Path:
        path: Path = self.options.out / "metrics.json"
        return path

    def _job(self, stage: str) -> Job:
        options = self.options
        minutes = _MINUTES[stage] if options.minutes is None else options.minutes
        budget = Budget(options.steps, minutes)
        return Job(
            bank=self._bank("train"),
            work=self.work,
            budget=budget,
            seed=options.seed,
            shape=SHAPE,
            tokenizer=words.build_tokenizer(),
            device=options.device,
        )

    def _bank(self, split: str) -> FlowerBank:
        if split not in self._banks:
            count = self.options.pictures if split == "train" else _TEST_PICTURES
            self._banks[split] = load_bank(
                self.work, split, min(count, self.options.pictures), self.options.seed
            )
        return self._banks[split]


if __name__ == "__main__":
    main()
