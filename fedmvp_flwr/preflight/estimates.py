"""What the frozen models have still to do, how long that takes, the disk and the message."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from fedmvp_flwr.aggregation.wire import check_message_size, pack
from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Dataset
from fedmvp_flwr.completion.encoding import widths_from_bytes, widths_key
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.data.dealing.client_samples import ClientSamples
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.preflight.item_counts import count_work
from fedmvp_flwr.preflight.timing import Widths, stand_in_notes, time_models

_MEGABYTE = 1e6
_HALF = 2  # bytes of a float16


def add_estimates(
    report: PreflightReport,
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    owned: Sequence[ClientSamples],
    timed: bool,
) -> None:
    """Count what the frozen models have to do, and estimate what it takes.

    Args:
        report: gets rows, estimates and problems.
        dataset: the data set.
        config: the run's settings.
        models: the frozen models; loaded only if `timed` and something is left to do.
        owned: the samples of each client.
        timed: whether to time the models on a few samples; without it, time, disk and message are
            known only where nothing is left to do.

    Raises:
        FedMVPError: a model cannot be loaded, or the message would be too large.
    """
    folder = cache_folder(config.run)
    with FeatureStore(folder) as store:
        work = count_work(dataset, config, models, owned, store)
        widths = _known_widths(models, store)
    report.work = [
        {"work": kind, "all": total, "left": work.left[kind]} for kind, total in work.total.items()
    ]
    seconds = store_bytes = 0.0
    if timed and not work.done:
        samples = dataset.splits["train"]
        timing = time_models(
            samples, models, config.completion, config.generates_probe, dataset.class_descriptions
        )
        models.release()
        report.notes += stand_in_notes(samples)
        for row in report.work:
            kind = str(row["work"])
            row["ms each"] = round(1000 * timing.seconds[kind], 1)
            row["kB each"] = round(timing.bytes_each[kind] / 1000, 1)
        report.estimates["loading s"] = timing.loading
        widths = timing.widths
        seconds, store_bytes = timing.seconds_for(work.left), timing.bytes_for(work.left)
    if widths and (timed or work.done):
        report.estimates["completion s"] = seconds
        _check_disk(
            report, store_bytes + _prepared_bytes(report.rows, widths, config.models), folder
        )
        size = message_bytes(config, widths, len(dataset.class_names))
        report.estimates["message MB"] = size / _MEGABYTE


def _check_disk(report: PreflightReport, further: float, folder: Path) -> None:
    """Compare what the cache folder will grow by with what is free there."""
    needed = further / _MEGABYTE
    free = shutil.disk_usage(folder).free / _MEGABYTE
    report.estimates |= {"disk MB": needed, "free disk MB": free}
    if needed > free:
        report.problems.append(
            f"cache-dir='{folder}' has {free:.0f} MB free; features and completions take about "
            f"{needed:.0f} MB. Make room, or choose a folder on another disk."
        )


def _prepared_bytes(
    rows: Sequence[Mapping[str, int]], widths: Widths, models: ModelSettings
) -> float:
    """Bytes of the files that hold each client's features, real and completed, for the rounds."""
    tokens = {IMAGE: models.image_grid**2, TEXT: models.text_max_tokens}
    each = sum(_HALF * (tokens[m] * widths[m][0] + widths[m][1]) for m in MODALITIES)
    return 2.0 * each * sum(row["samples"] + row["held out"] for row in rows)


def message_bytes(config: RunConfig, widths: Widths, num_classes: int) -> int:
    """Bytes of the trainable arrays, which travel once each way per client and round.

    Raises:
        ConfigError: more than `max-message-mb`.
    """
    with torch.random.fork_rng():  # torch's initialisers draw from the global generator
        network = FedMVPNetwork(config.training, widths, num_classes)
    return check_message_size(
        pack(network.state_dict(), config.run.wire_dtype), config.run.max_message_mb
    )


def _known_widths(models: FoundationModels, store: FeatureStore) -> Widths | None:
    """The encoders' widths, if the store has them: then nothing needs to be loaded for them."""
    keys = {m: widths_key(m, models) for m in MODALITIES}
    found = store.get_many(keys.values())
    if len(found) < len(set(keys.values())):
        return None
    return {m: widths_from_bytes(found[key]) for m, key in keys.items()}
