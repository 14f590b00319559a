"""Which holes are completed: those of training samples, and everything that a test may hide."""

from collections.abc import Sequence

from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import MODALITIES, Sample, other_modality
from fedmvp_flwr.completion.pipeline import prepare_samples
from fedmvp_flwr.completion.plan import check_gate
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels


def require_comparable(models: FoundationModels, config: RunConfig) -> None:
    """Raise a ModelError if the quality gate is on but has nothing to measure with."""
    if config.completion.kind != "none":
        check_gate(models, config)


def completion_requests(samples: tuple[Sample, ...], config: RunConfig) -> dict[str, list[bool]]:
    """Which holes of the samples are to be completed: all of them, or none."""
    wanted = config.completion.kind != "none"
    return {name: [wanted and not sample.has(name) for sample in samples] for name in MODALITIES}


def held_out_requests(samples: tuple[Sample, ...], config: RunConfig) -> dict[str, list[bool]]:
    """Which modalities of test samples are completed: each from the other one, if that is there."""
    wanted = config.completion.kind != "none"
    return {
        name: [wanted and sample.has(other_modality(name)) for sample in samples]
        for name in MODALITIES
    }


def prepare_test(
    samples: tuple[Sample, ...],
    config: RunConfig,
    models: FoundationModels,
    store: FeatureStore,
    on_progress: Progress | None = None,
    pool: Sequence[Sample] = (),
) -> PreparedSet:
    """Encode test samples and complete each modality from the other one, where that is there.

    Retrieval takes from `pool`, never from other test samples.
    """
    return prepare_samples(
        samples,
        complete=held_out_requests(samples, config),
        models=models,
        store=store,
        config=config,
        pool=pool,
        on_progress=on_progress,
    )
