"""What the server owns: a test set, where there is one, and pictures of completions to show."""

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.retrieval import retrieval_pool
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.patterns import whole_test_mask
from fedmvp_flwr.data.records import write_atomic
from fedmvp_flwr.data.samples import IMAGE, TEXT, Dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.node import cache_folder
from fedmvp_flwr.preparation import Progress, accept, prepare_test
from fedmvp_flwr.results import write_json
from fedmvp_flwr.seeds import torch_generator

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 12  # completed samples in the report, half of them images, half texts
_FOLDER = "completions"


def prepare_server_test(
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    on_progress: Progress | None = None,
) -> PreparedSet:
    """Encode and complete the server's test set, with the holes of `test-missing-pattern`."""
    whole = dataset.splits["test"]
    samples = whole_test_mask(whole, config).apply(whole)
    pool = retrieval_pool((), dataset, config)  # the server owns no pairs of its own
    with FeatureStore(cache_folder(config)) as store:
        return prepare_test(samples, config, models, store, on_progress, pool)


def save_completion_samples(
    out: Path,
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    test: PreparedSet,
    threshold: float,
) -> None:
    """Write some completions of the server's test set beside the originals, for the report.

    They come from the server's own public test set: no completion of a client leaves it.
    """
    if config.completion == "none":
        return
    samples = dataset.splits["test"]
    pool = retrieval_pool((), dataset, config)
    accepted = accept(test, threshold, config)
    folder = out / _FOLDER
    rows = []
    chosen = torch.randperm(
        len(samples), generator=torch_generator(config.seed, "report", "completions")
    )
    with FeatureStore(cache_folder(config)) as store:
        for position, index in enumerate(chosen[:_SHOWN].tolist()):
            sample = samples[index]
            target = (IMAGE, TEXT)[position % 2]
            made = load_completion(
                sample,
                target,
                models=models,
                store=store,
                config=config,
                class_names=dataset.class_names,
                pool=pool,
            )
            if made is None or sample.image is None:
                continue
            row = {
                "key": sample.key,
                "class-name": dataset.class_names[sample.label],
                "source": TEXT if target == IMAGE else IMAGE,
                "original-image": _save_image(
                    folder, f"{position:02d}-original", sample.image.load()
                ),
                "original-text": sample.text,
                "generated-image": None,
                "generated-text": None,
                "similarity": _value(test.similarity[target], index),
                "accepted": bool(accepted[target][index]),
            }
            if isinstance(made, str):
                row["generated-text"] = made
            else:
                row["generated-image"] = _save_image(folder, f"{position:02d}-generated", made)
            rows.append(row)
    write_json(folder / "index.json", {"completions": rows})


def _save_image(folder: Path, name: str, image: "Image") -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_atomic(folder / f"{name}.png", buffer.getvalue())
    return f"{name}.png"


def _value(values: Tensor, index: int) -> float | None:
    value = float(values[index])
    return value if math.isfinite(value) else None
