"""The server's own samples: a test set and a validation set, where there are any."""

from dataclasses import dataclass

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import TEST, VALIDATION, Dataset, Sample
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.missing import MissingSettings
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.data.dealing.patterns import require_patterns, whole_test_mask
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.server.probe import Probe


@dataclass(frozen=True)
class ServerData:
    """What the server owns before the first round.

    Attributes:
        class_names: in the order of the labels.
        test: the test set, perhaps empty.
        validation: the validation set, perhaps empty.
        probe: where the weights or the tuning need one.
    """

    class_names: tuple[str, ...]
    test: PreparedSet
    validation: PreparedSet
    probe: Probe | None


def load_server_dataset(data: DataSettings, missing: MissingSettings, run: RunSettings) -> Dataset:
    """Open the server's data.

    Raises:
        ConfigError: the settings name something that there is not.
        DataError: it cannot be used, or lacks what the settings need.
    """
    require_patterns(missing)
    dataset = load_dataset(data, cache_folder(run))
    if run.selected_by == "server" and not dataset.splits.get(VALIDATION):
        raise DataError(
            f"selection='server' needs a validation split ('{VALIDATION}') of the data "
            f"'{data.dataset}', which has {sorted(dataset.splits)}. For Flora set "
            "validation-samples=200; or use selection='clients'."
        )
    return dataset


def server_test(dataset: Dataset, missing: MissingSettings, seed: int) -> tuple[Sample, ...]:
    """The server's test samples with the holes of `test-missing-pattern`, if it has any."""
    whole = tuple(dataset.splits.get(TEST, ()))
    if not whole:
        return ()
    return whole_test_mask(whole, missing, seed, len(dataset.class_names)).apply(whole)


def server_validation(dataset: Dataset, run: RunSettings) -> tuple[Sample, ...]:
    """The samples that the server finds the best round by, if it is asked to."""
    return tuple(dataset.splits.get(VALIDATION, ())) if run.selected_by == "server" else ()
