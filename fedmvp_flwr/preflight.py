"""Everything that a user can get wrong, found before a run is started, all of it at once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fedmvp_flwr.aggregation.probe import load_probe
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.registry import load_dataset
from fedmvp_flwr.data_preflight import client_row, data_notes
from fedmvp_flwr.devices import resolve_device
from fedmvp_flwr.errors import FedMVPError
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.node import cache_folder, output_folder, require_writable
from fedmvp_flwr.preparation import require_comparable

_T = TypeVar("_T")


@dataclass
class PreflightReport:
    """What a run would work with, and what is wrong with it.

    Attributes:
        problems: one sentence each; empty if the run can start.
        rows: one per client: samples, classes, complete pairs, holes, held-out samples.
        notes: one line each, about what is peculiar and need not be repaired.
    """

    problems: list[str] = field(default_factory=list)
    rows: list[dict[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def preflight(config: RunConfig, num_clients: int) -> PreflightReport:
    """Check folders, device, models, data, split and holes of a run; nothing is computed.

    Args:
        config: the run's settings.
        num_clients: how many clients share the training samples.
    """
    report = PreflightReport()

    def check(step: Callable[[], _T]) -> _T | None:
        try:
            return step()
        except FedMVPError as error:
            report.problems.append(str(error))
            return None

    if config.out_dir:
        check(lambda: output_folder(config, 0))
    writable = check(lambda: require_writable(cache_folder(config), "cache-dir"))
    device = check(lambda: resolve_device(config.device))
    models = check(lambda: FoundationModels.from_config(config, str(device or "cpu")))
    if models:
        check(lambda: require_comparable(models, config))
    if config.probe_file and config.needs_probe:
        check(lambda: load_probe(Path(config.probe_file).expanduser()))
    dataset = check(lambda: load_dataset(config))
    if dataset and writable:  # splits and masks are recorded in the cache folder
        for client in range(num_clients):
            row = check(lambda: client_row(dataset, config, client, num_clients))  # noqa: B023
            if row:
                report.rows.append(row)
    if dataset:
        report.notes += check(lambda: data_notes(dataset, config, report.rows)) or []
    report.problems = list(dict.fromkeys(report.problems))  # what is wrong for all, once
    return report
