"""One command that makes the embedded models: `python -m fedmvp_assets.build`.

Every stage resumes from its checkpoint in the work folder, so that it can be interrupted and given
more minutes later.
"""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fedmvp_assets.build import bars, card
from fedmvp_assets.build.autoencoder import refine_decoder, train_autoencoder
from fedmvp_assets.build.bank import Bank, load_bank
from fedmvp_assets.build.captioner import CaptionerTrainer, save_captioner, train_captioner
from fedmvp_assets.build.encoder import EncoderTrainer, save_encoder, train_encoder
from fedmvp_assets.build.generator import GeneratorTrainer, save_generator, train_generator
from fedmvp_assets.build.judge import Judge, train_judge
from fedmvp_assets.build.loop import Budget, Job, use_average
from fedmvp_assets.build.transplant import captioner_to_encoder, encoder_to_captioner

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
        self._banks: dict[str, Bank] = {}

    def build_captioner(self) -> None:
        """Train and save the captioner; its image tower starts from the encoder's, if there."""
        path = self.work / "encoder.safetensors"

        def start(trainer: CaptionerTrainer) -> None:
            if path.exists():
                encoder_to_captioner(use_average(EncoderTrainer(), path), trainer)

        save_captioner(train_captioner(self._job("captioner"), start), self.models / "captioner")

    def build_encoder(self) -> None:
        """Train and save the encoder; its image tower starts from the captioner's, if there."""
        path = self.work / "captioner.safetensors"

        def start(trainer: EncoderTrainer) -> None:
            if path.exists():
                captioner_to_encoder(use_average(CaptionerTrainer(), path), trainer)

        save_encoder(train_encoder(self._job("encoder"), start), self.models / "encoder")

    def build_autoencoder(self) -> None:
        """Train the autoencoder, whose latents the generator will learn."""
        model = train_autoencoder(self._job("autoencoder"))
        model.save_pretrained(self.work / "autoencoder")

    def build_generator(self) -> None:
        """Train and save the generator."""
        autoencoder = self._autoencoder("autoencoder")
        trainer = train_generator(self._job("generator"), autoencoder)
        save_generator(trainer, autoencoder, self.models / "generator")

    def build_decoder(self) -> None:
        """Train the autoencoder's decoder on, and save the generator with it."""
        model = refine_decoder(self._autoencoder("autoencoder"), self._job("decoder"))
        model.save_pretrained(self.work / "decoder")
        trainer = use_average(GeneratorTrainer(), self.work / "generator.safetensors")
        save_generator(trainer, model, self.models / "generator")

    def build_judge(self) -> None:
        """Train the judge, which stays in the work folder."""
        train_judge(self._job("judge"))

    def build_bars(self) -> None:
        """Measure the saved models and write metrics.json."""
        bank, seed = self._bank("test"), self.options.seed
        judge = use_average(Judge(), self.work / "judge.safetensors")
        folders = {name: self.models / name for name in ("encoder", "captioner", "generator")}
        metrics = {
            "encoder": bars.measure_encoder(folders["encoder"], bank, seed),
            "captioner": bars.measure_captioner(folders["captioner"], bank, _MEASURED),
            "generator": bars.measure_generator(folders["generator"], bank, judge, _MEASURED, seed),
            "judge": bars.measure_judge(judge, self._autoencoder("decoder"), bank),
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
        return Job(self._bank("train"), self.work, budget, options.seed, options.device)

    def _bank(self, split: str) -> Bank:
        if split not in self._banks:
            count = self.options.pictures if split == "train" else _TEST_PICTURES
            self._banks[split] = load_bank(
                self.work, split, min(count, self.options.pictures), self.options.seed
            )
        return self._banks[split]

    def _autoencoder(self, name: str) -> Any:  # noqa: ANN401
        from diffusers import AutoencoderTiny

        return AutoencoderTiny.from_pretrained(self.work / name).eval()


if __name__ == "__main__":
    main()
