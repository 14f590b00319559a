"""The preflight's look at the frozen models: what they are, what they have to do, what it costs."""

import shutil
from collections.abc import Sequence
from functools import partial

from fedmvp_flwr.base.samples import Dataset
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.dealing.client_samples import ClientSamples
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels
from fedmvp_flwr.foundation.fingerprint import model_bytes
from fedmvp_flwr.foundation.folders.hub import revision_of
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.preflight.findings import PreflightReport, attempt
from fedmvp_flwr.preflight.item_counts import count_work
from fedmvp_flwr.preflight.timed_sources import stand_in_notes
from fedmvp_flwr.preflight.timing import (
    Widths,
    declared_widths,
    estimated_bytes,
    estimated_seconds,
    known_widths,
    message_bytes,
    most_bytes,
    prepared_bytes,
    time_models,
)

_MEGABYTE = 1e6
_SHOWN = 12  # characters of a fingerprint


def add_models(report: PreflightReport, config: RunConfig, models: FoundationModels) -> None:
    """Find every model that the run needs; every one that is missing is a problem of its own.

    Args:
        report: gets rows and problems.
        config: says which of the models are needed.
        models: the frozen models; none is loaded.
    """
    way = completer_class(config.completion)
    roles = [*ENCODER_ROLES.values(), *way.roles]
    if config.generates_probe and "image_generator" not in roles:
        roles.append("image_generator")
    for role in roles:
        attempt(report, role.replace("_", "-"), partial(_add_model, report, models, role))
    if models.gate is not models:
        for role in ENCODER_ROLES.values():
            attempt(report, "gate-encoder", partial(_add_model, report, models.gate, role))
    attempt(report, "prompt-template", partial(way.check, config.completion))


def _add_model(report: PreflightReport, models: FoundationModels, role: Role) -> None:
    """Describe one model; it is not loaded.

    Raises:
        FedMVPError: it is not there.
    """
    spec = models.spec(role)
    row: dict[str, str | float] = {
        "setting": spec.key,
        "model": spec.text,
        "MB": round(model_bytes(spec) / _MEGABYTE, 1),
        "fingerprint": models.fingerprint(role)[:_SHOWN],
        "revision": revision_of(spec.folder) or "",
    }
    if row not in report.models:
        report.models.append(row)


def add_workload(
    report: PreflightReport,
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    owned: Sequence[ClientSamples],
    timed: bool,
) -> None:
    """Count what the frozen models have to do, and estimate what it takes.

    Args:
        report: gets rows and estimates.
        dataset: the data set.
        config: the run's settings.
        models: the frozen models; loaded only if `timed` and something is left to do.
        owned: the samples of each client.
        timed: whether to time the models on a few samples.

    Raises:
        FedMVPError: a model cannot be loaded, or the message would be too large.
    """
    folder = cache_folder(config.run)
    with FeatureStore(folder) as store:
        work = count_work(dataset, config, models, owned, store)
        widths: Widths | None = known_widths(models, store)
    report.work = [
        {"work": kind, "all": total, "left": work.left[kind]} for kind, total in work.total.items()
    ]
    if work.done:
        report.estimates |= {"completion s": 0.0, "further disk MB": 0.0}
    elif timed:
        samples = dataset.splits["train"]
        timing = time_models(samples, models, config, dataset.class_descriptions)
        report.notes += stand_in_notes(samples)
        widths = timing.widths
        for row in report.work:
            kind = str(row["work"])
            row["ms each"] = round(1000 * timing.seconds.get(kind, 0.0), 1)
            row["kB each"] = round(timing.bytes_each.get(kind, 0.0) / 1000, 1)
        report.estimates |= {
            "loading s": timing.loading,
            "completion s": estimated_seconds(work, timing),
            "further disk MB": estimated_bytes(work, timing) / _MEGABYTE,
        }
        models.release()
    sizes = widths or declared_widths(models)
    most = most_bytes(work, sizes, models, config) + prepared_bytes(report.rows, sizes, config)
    _check_disk(report, config, most)
    if widths is not None:
        size = message_bytes(config, widths, len(dataset.class_names))
        report.estimates["message MB"] = size / _MEGABYTE


def _check_disk(report: PreflightReport, config: RunConfig, most: float) -> None:
    """Compare what the cache folder will grow by at most with what is free there."""
    folder = cache_folder(config.run)
    needed = most / _MEGABYTE
    free = shutil.disk_usage(folder).free / _MEGABYTE
    report.estimates |= {"disk MB": needed, "free disk MB": free}
    if needed > free:
        report.problems.append(
            f"cache-dir='{folder}' has {free:.0f} MB free; features and completions may take "
            f"{needed:.0f} MB. Make room, or choose a folder on another disk."
        )
