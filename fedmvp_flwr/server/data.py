"""What the server owns: a test set, where there is one, and pictures of completions to show."""

import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.samples import IMAGE, TEXT, VALIDATION, Dataset, Sample
from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.gating import accept
from fedmvp_flwr.completion.pipeline import encode, load_completion, prepare
from fedmvp_flwr.completion.pool import completion_pool
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.registry import completer_for
from fedmvp_flwr.completion.requests import Request, all_sides
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.dealing.patterns import require_patterns, whole_test_mask
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.server.probe import Probe, load_probe, require_known_classes, require_same_features
from fedmvp_flwr.server.probe_source import prepare_probe

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 12  # completed samples in the report, half of them images, half texts


@dataclass
class ServerData:
    """What the server owns: class names always, test and validation samples where there are any.

    Attributes:
        dataset: class names, descriptions and the server's own splits.
        test: the test set, perhaps empty; from `prepare` on.
        validation: the validation set, perhaps empty; from `prepare` on.
        probe: where the weighting needs one; from `prepare_probe` on.
    """

    dataset: Dataset
    test: PreparedSet = field(init=False)
    validation: PreparedSet = field(init=False)
    probe: Probe | None = None

    @classmethod
    def load(cls, config: RunConfig) -> "ServerData":
        """Open the server's data.

        Raises:
            ConfigError: the settings name something that there is not.
            DataError: it cannot be used, or lacks what the settings need.
        """
        require_patterns(config.missing)
        dataset = load_dataset(config.data, cache_folder(config.run))
        if config.run.selected_by == "server" and not dataset.splits.get(VALIDATION):
            raise DataError(
                f"selection='server' needs a validation split ('{VALIDATION}') of the data "
                f"'{config.data.dataset}', which has {sorted(dataset.splits)}. For Flora set "
                "validation-samples=200; or use selection='clients'."
            )
        return cls(dataset)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the labels."""
        return self.dataset.class_names

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def reference(self) -> Batch:
        """Features, perhaps of no sample, whose widths are those of the run."""
        return self.test.real

    def prepare(self, config: RunConfig, models: FoundationModels) -> None:
        """Encode and complete the test set; encode the validation set."""
        self.test = prepare_server_test(self.dataset, config, models)
        samples = tuple(self.dataset.splits.get(VALIDATION, ()))
        with FeatureStore(cache_folder(config.run)) as store:
            self.validation = encode(
                samples if config.run.selected_by == "server" else (), models, store
            )

    def prepare_probe(
        self, config: RunConfig, models: FoundationModels, saved: Path | None
    ) -> None:
        """Load or generate the probe, where the weighting needs one.

        Args:
            config: the run's settings.
            models: the frozen models.
            saved: the generated probe of the run that is gone on with: used again if it is there,
                since another machine would generate one that differs in the last bits.
        """
        if not config.needs_probe:
            return
        if saved and saved.is_file() and not config.probe.file:
            self.probe = load_probe(saved)
        else:
            self.probe = prepare_probe(self.dataset, config, models)
        require_same_features(self.probe, self.reference)
        require_known_classes(self.probe, self.num_classes)


def prepare_server_test(
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    on_progress: Progress | None = None,
) -> PreparedSet:
    """Encode and complete the server's test set, with the holes of `test-missing-pattern`."""
    samples = server_test(dataset, config)
    request = Request(samples, all_sides(samples), server_completer(dataset, config, models))
    with FeatureStore(cache_folder(config.run)) as store:
        return prepare([request], store, on_progress)[0]


def server_completer(dataset: Dataset, config: RunConfig, models: FoundationModels) -> Completer:
    """What completes the server's samples; it owns no pairs of its own to take from."""
    pool = completion_pool(config.completion, config.data.public_split, dataset)
    return completer_for(config.completion, models, config.data.data_seed, pool)


def server_test(dataset: Dataset, config: RunConfig) -> tuple[Sample, ...]:
    """The server's test samples, if it has any, with their holes."""
    whole = tuple(dataset.splits.get("test", ()))
    return whole_test_mask(whole, config.missing, config.run.seed).apply(whole) if whole else ()


def save_completion_samples(
    out: RunFolder,
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    test: PreparedSet,
    threshold: float,
) -> None:
    """Write some completions of the server's test set beside the originals, for the report.

    Nothing without a test set. No completion of a client leaves it.
    """
    completer = server_completer(dataset, config, models)
    if not completer.completes or not len(test):
        return
    samples = dataset.splits["test"]
    accepted = accept(test, threshold, config.completion)
    folder = out.completions
    rows = []
    chosen = torch.randperm(
        len(samples), generator=torch_generator(config.run.seed, "report", "completions")
    )
    with FeatureStore(cache_folder(config.run)) as store:
        for position, index in enumerate(chosen[:_SHOWN].tolist()):
            sample = samples[index]
            target = (IMAGE, TEXT)[position % 2]
            made = load_completion(completer, sample, target, store, dataset.class_names)
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
    write_json(out.completions_index, {"completions": rows})


def _save_image(folder: Path, name: str, image: "Image") -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_atomic(folder / f"{name}.png", buffer.getvalue())
    return f"{name}.png"


def _value(values: Tensor, index: int) -> float | None:
    value = float(values[index])
    return value if math.isfinite(value) else None
