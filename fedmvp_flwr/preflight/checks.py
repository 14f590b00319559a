"""Everything that a user can get wrong, found before a run is started, all of it at once."""

from collections.abc import Callable
from typing import TypeVar

from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.completion.pool import completion_pool, public_pairs
from fedmvp_flwr.completion.registry import completer_class, gate_encoder
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder, output_folder, require_writable
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.data.dealing.client_samples import client_samples
from fedmvp_flwr.data.dealing.patterns import require_patterns
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.preflight.data_notes import client_row, data_notes
from fedmvp_flwr.preflight.estimates import add_estimates
from fedmvp_flwr.preflight.findings import PreflightReport, attempt
from fedmvp_flwr.preflight.frozen_models import add_models
from fedmvp_flwr.server.probe_source import load_probe_file
from fedmvp_flwr.server.resume import require_resumable

_T = TypeVar("_T")


def preflight(config: RunConfig, num_clients: int, timed: bool = False) -> PreflightReport:
    """Check folders, device, models, data, split, holes and what it resumes; nothing is stored.

    Args:
        config: the run's settings.
        num_clients: how many clients share the training samples; 0 leaves out all that is theirs.
        timed: also load the frozen models and time them on a few samples, to estimate how long
            completion takes; without it, no model is loaded.
    """
    report = PreflightReport()

    def check(what: str, step: Callable[[], _T]) -> _T | None:
        return attempt(report, what, step)

    if config.run.out_dir:
        check("out-dir", lambda: _require_free(config.run))
    writable = check("cache-dir", lambda: require_writable(cache_folder(config.run), "cache-dir"))
    device = str(check("device", lambda: resolve_device(config.run.device)) or "cpu")
    way = check("completion", lambda: completer_class(config.completion))
    if way is None:
        return report
    models = FoundationModels(config.models, device, gate_encoder(config.completion))
    check(
        "the models",
        lambda: add_models(report, models, config.completion, config.generates_probe),
    )
    if not report.problems:
        check("the quality gate", lambda: way.check_gate(models, config.completion))
    if config.probe.file and config.needs_probe:
        check("the probe", lambda: load_probe_file(config.probe))
    check("the holes", lambda: require_patterns(config.missing))
    dataset = check("the data set", lambda: load_dataset(config.data, cache_folder(config.run)))
    if config.run.resume:
        names = dataset.class_names if dataset else None
        check("resume", lambda: require_resumable(config, names))
    public = config.data.public_split
    if dataset:
        check("the public split", lambda: completion_pool(config.completion, public, dataset))
    if dataset and config.needs_probe and config.probe.probe_source == "public":
        check("the public pairs of the probe", lambda: public_pairs(dataset, public))
    owned = []
    if dataset and writable:  # splits and masks are recorded in the cache folder
        for client in range(num_clients):
            node = Node(client, num_clients, writable)
            samples = check(
                f"client {client}",
                lambda: client_samples(dataset, node, config.data, config.missing, config.run),  # noqa: B023 - now
            )
            if samples:
                report.rows.append(client_row(client, samples))
                owned.append(samples)
    if dataset:
        notes = check("the data set", lambda: data_notes(dataset, config, report.rows))
        report.notes += notes or []
    if dataset and writable and num_clients and not report.problems:
        check(
            "the work of the models",
            lambda: add_estimates(report, dataset, config, models, owned, timed),
        )
    report.problems = list(dict.fromkeys(report.problems))  # what is wrong for all, once
    return report


def _require_free(run: RunSettings) -> None:
    """Refuse a folder of results that cannot be written, or holds another run to go on with."""
    folder = output_folder(run, 0)
    if not run.resume or expanded(run.resume).resolve() != folder.resolve():
        RunFolder(folder).require_overwritable()
