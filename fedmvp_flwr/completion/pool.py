"""The complete samples that completions may be taken from."""

from collections.abc import Sequence

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.foundation.bundle import FoundationModels


def takes_public_pairs(settings: CompletionSettings) -> bool:
    """Whether completions are taken from the split that everyone holds."""
    return completer_class(settings).takes_over and settings.retrieval_source == "public"


def completion_pool(
    settings: CompletionSettings, public_split: str, dataset: Dataset, own: Sequence[Sample] = ()
) -> tuple[Sample, ...]:
    """Return the complete samples that the owner of some samples, or the server, may take from.

    Raises:
        DataError: as `public_pairs`.
    """
    if takes_public_pairs(settings):
        return public_pairs(dataset, public_split)
    taken = own if completer_class(settings).takes_over else ()
    return tuple(sample for sample in taken if sample.complete)


def completer_for(
    completion: CompletionSettings,
    data: DataSettings,
    dataset: Dataset,
    models: FoundationModels,
    own: Sequence[Sample] = (),
) -> Completer:
    """Make what completes the samples of their owner, or of the server, which owns none.

    Raises:
        ConfigError: no such way, or settings that it cannot use.
        DataError: as for `completion_pool`.
    """
    pool = completion_pool(completion, data.public_split, dataset, own)
    return completer_class(completion)(models, completion, data.data_seed, pool)


def public_pairs(dataset: Dataset, split: str) -> tuple[Sample, ...]:
    """Return the complete samples of the split that everyone may see.

    Raises:
        DataError: the data set has no such split, or it holds no complete pair.
    """
    others = "use retrieval-source='own' and probe-source='generated'."
    if split not in dataset.splits:
        raise DataError(
            f"public-split='{split}': the data set has no split of this name (it has "
            f"{', '.join(sorted(dataset.splits))}). Name another one, or {others}"
        )
    if split in ("train", "test"):
        raise DataError(
            f"public-split='{split}' is what clients own or are tested on, not public data. Name "
            f"another split, or {others}"
        )
    pool = tuple(sample for sample in dataset.splits[split] if sample.complete)
    if not pool:
        raise DataError(
            f"public-split='{split}' holds no complete pair. Name another split, or {others}"
        )
    return pool
