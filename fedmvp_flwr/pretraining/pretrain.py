"""`fedmvp pretrain`: from a split of a data set to three model folders and their card."""

import dataclasses
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries
from fedmvp_flwr.pretraining.autoencoder import load_autoencoder
from fedmvp_flwr.pretraining.card import model_card
from fedmvp_flwr.pretraining.job import Budget, Job
from fedmvp_flwr.pretraining.measure import (
    measure_autoencoder,
    measure_captioner,
    measure_encoder,
    measure_generator,
)
from fedmvp_flwr.pretraining.sample_bank import load_sample_bank, samples_hash
from fedmvp_flwr.pretraining.shape import Shape
from fedmvp_flwr.pretraining.split import Pairs, load_pairs
from fedmvp_flwr.pretraining.stages import train_all
from fedmvp_flwr.pretraining.tokenizer import learn_tokenizer

_LOG = logging.getLogger(__name__)
CARD, REPORT, RECIPE, WORK = "MODEL_CARD.md", "pretrain.json", "recipe.json", "work"
_READABLE = 0o644  # safetensors' own mode would hide the models from other users
NO_LIMIT = 10**9  # steps: the minutes decide


@dataclass(frozen=True)
class PretrainSettings:
    """What to build, and for how long.

    Attributes:
        split: split of the data set to learn from; `a+b` joins two.
        out: folder that gets the models, their card and the checkpoints.
        minutes: of training, all models together.
        steps: of training, of each model, at most.
        shape: how large the models are.
        vocabulary_size: most tokens.
        seed: of the held-out samples, weights, batches and noise.
        use_labels: whether encoder and captioner may learn from the labels as well.
    """

    split: str
    out: Path
    minutes: float = 60.0
    steps: int = NO_LIMIT
    shape: Shape = field(default_factory=Shape)
    vocabulary_size: int = 2000
    seed: int = 0
    use_labels: bool = False

    def __post_init__(self) -> None:
        """Refuse a budget of nothing."""
        if self.minutes <= 0 or self.steps < 1:
            raise ConfigError(
                f"minutes={self.minutes:g}, steps={self.steps}: expected more than 0 of both."
            )


def pretrain(
    config: RunConfig, settings: PretrainSettings, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Build encoder, captioner and generator from a split of a data set, and measure them.

    Interrupted and called again with the same settings, or with a larger budget, it goes on where
    it stopped. Progress is told as (stage, per cent, 100).

    Returns:
        What `pretrain.json` holds.

    Raises:
        DataError: the data cannot be used.
        ConfigError: the folder holds the checkpoints of another recipe or of other data.
    """
    device = str(resolve_device(config.run.device))
    pairs = load_pairs(config.data, cache_folder(config.run), settings.split, settings.seed)
    work = settings.out / WORK
    recipe = _recipe(config.data.dataset, settings, pairs)
    _claim(work, recipe)
    shape, seed = settings.shape, settings.seed
    num_classes = len(pairs.class_names) if settings.use_labels else 0
    bank = load_sample_bank(pairs.train, shape.image_size, work, num_classes)
    tokenizer = learn_tokenizer(bank.captions, settings.vocabulary_size, shape.context)
    budget = Budget(settings.steps, settings.minutes)
    job = Job(bank, work, budget, seed, shape, tokenizer, device)
    with quiet_libraries(diffusers=True):
        trained = train_all(job, settings.out, on_progress)
        for path in settings.out.rglob("*.safetensors"):
            path.chmod(_READABLE)
        models = FoundationModels(config.changed(**specs(settings.out)).models, device=device)
        figures = _measure(models, settings, pairs)
    report = {
        **recipe,
        "vocabulary": len(tokenizer),
        "device": device,
        "training": {
            name: {
                "steps": stage.steps,
                "minutes": round(stage.minutes, 2),
                "loss": round(stage.loss, 4),
            }
            for name, stage in trained.items()
        },
        "figures": figures,
        "versions": versions(),
    }
    write_json(settings.out / REPORT, report)
    write_atomic(settings.out / CARD, model_card(report).encode())
    _LOG.info("Models and card are in %s.", settings.out)
    return report


def _measure(
    models: FoundationModels, settings: PretrainSettings, pairs: Pairs
) -> dict[str, dict[str, float]]:
    """Figures of the finished models on the held-out pairs."""
    held_out = load_sample_bank(pairs.held_out, settings.shape.image_size, settings.out / WORK)
    autoencoder = load_autoencoder(settings.out / "generator" / "vae")
    return {
        "encoder": measure_encoder(models, pairs.held_out),
        "captioner": measure_captioner(models, pairs.held_out),
        "autoencoder": measure_autoencoder(autoencoder, held_out),
        "generator": measure_generator(models, pairs.held_out, settings.seed),
    }


def specs(out: Path) -> dict[str, str]:
    """The fields of `RunConfig` that name the models of a folder."""
    return {
        "image_encoder": f"open_clip:local:{out / 'encoder'}",
        "text_encoder": f"open_clip:local:{out / 'encoder'}",
        "captioner": f"transformers:local:{out / 'captioner'}",
        "image_generator": f"diffusers:local:{out / 'generator'}",
    }


def _recipe(dataset: str, settings: PretrainSettings, pairs: Pairs) -> dict[str, Any]:
    return {
        "data": {
            "dataset": dataset,
            "split": settings.split,
            "train": len(pairs.train),
            "held-out": len(pairs.held_out),
            "skipped": pairs.skipped,
            "hash": samples_hash(pairs.train),
            "held-out-hash": samples_hash(pairs.held_out),
            "labels-used": settings.use_labels,
        },
        "shape": dataclasses.asdict(settings.shape),
        "vocabulary-size": settings.vocabulary_size,
        "seed": settings.seed,
    }


def _claim(work: Path, recipe: dict[str, Any]) -> None:
    """Refuse to go on with the checkpoints of something else."""
    path = work / RECIPE
    if not path.is_file():
        write_json(path, recipe)
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    # The same data may have moved.
    ours = recipe | {"data": {**recipe["data"], "dataset": before["data"]["dataset"]}}
    other = sorted(key for key in ours if ours[key] != before.get(key))
    if other:
        raise ConfigError(
            f"{work} holds the checkpoints of another training (different {', '.join(other)}). Use "
            "another --out, or remove that folder to begin anew."
        )
