"""What is ready before the first round: the nodes' samples, the server's own, and the probe."""

from dataclasses import dataclass
from logging import INFO, WARNING
from typing import Any

import torch
from flwr.app import RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Dataset
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.completion.gating import accept
from fedmvp_flwr.completion.pipeline import encode
from fedmvp_flwr.completion.pipeline import prepare as complete_and_encode
from fedmvp_flwr.completion.pool import completer_for
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.completion.requests import Request, all_sides
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.protocol.messages import class_names_record
from fedmvp_flwr.protocol.summary import fallback_threshold
from fedmvp_flwr.server.admission import Admission, misfit
from fedmvp_flwr.server.data import (
    ServerData,
    load_server_dataset,
    server_test,
    server_validation,
)
from fedmvp_flwr.server.opened_run import OpenedRun
from fedmvp_flwr.server.probe import Probe, load_probe, require_fitting, save_probe
from fedmvp_flwr.server.probe_source import prepare_probe
from fedmvp_flwr.server.resume import require_same
from fedmvp_flwr.server.shown_completions import save_shown_completions


@dataclass(frozen=True)
class PreparedRun:
    """A run before its first round.

    Attributes:
        device: to compute on.
        data: the server's own.
        models: what names the frozen models, by run-config key.
        admission: of the nodes.
        threshold: of the quality gate at the server.
        counts: of the clients' samples by class.
    """

    device: torch.device
    data: ServerData
    models: dict[str, dict[str, str | None]]
    admission: Admission
    threshold: float
    counts: ClassCounts

    @property
    def probe_hash(self) -> str | None:
        """Of the probe, where the run has one."""
        return self.data.probe.digest if self.data.probe else None

    @property
    def encoders(self) -> dict[str, str]:
        """Fingerprints of the frozen encoders."""
        names = {"image": "image-encoder", "text": "text-encoder"}
        return {name: str(self.models[key]["fingerprint"]) for name, key in names.items()}


def prepare(run: OpenedRun, grid: Grid) -> PreparedRun:
    """Let the nodes prepare, and prepare the server's own data meanwhile.

    Raises:
        CheckpointError: what was prepared is not what the interrupted run had.
        DataError: too few nodes are ready, none of them can train, or the server's data is no good.
    """
    config, journal, state = run.config, run.journal, run.state
    device = resolve_device(config.run.device)
    models = frozen_models(config, str(device))
    identities = models.identities()
    dataset = load_server_dataset(config.data, config.missing, config.run)
    classes = dataset.class_names
    _announce(run, list(classes))
    nodes = NodeRegistry(state.names if state else None)
    admission = Admission(
        nodes,
        RecordDict({"dataset": class_names_record(classes)}),
        lambda summary: misfit(summary, widths, identities, len(classes)),
        journal.event,
    )
    with journal.phase("completion"):
        admission.ask(grid, nodes.present(grid, run.min_nodes, config.run.node_timeout))
        completer = completer_for(config.completion, config.data, dataset, models)
        samples = server_test(dataset, config.missing, config.run.seed)
        with FeatureStore(cache_folder(config.run)) as store:  # while the clients prepare
            test = complete_and_encode([Request(samples, all_sides(samples), completer)], store)[0]
            validation = encode(server_validation(dataset, config.run), models, store)
        widths = test.real.widths
        needed = run.min_nodes if config.run.min_nodes else 0
        summaries = admission.wait(grid, needed, config.run.round_timeout)
    if not any(summary.trainable for summary in summaries):
        raise DataError(
            "No client has anything to train on: all samples are incomplete and "
            "incomplete='drop'. Use incomplete='mask', or fewer holes."
        )
    # Summed over processes that work side by side, unlike the other, wall-clock, figures.
    journal.seconds["features"] = test.seconds["features"] + sum(
        summary.seconds["features"] for summary in summaries
    )
    threshold = state.threshold if state else fallback_threshold(summaries)
    counts = state.counts if state else ClassCounts.of(summaries, len(classes))
    accepted = accept(test, threshold, config.completion)
    with FeatureStore(cache_folder(config.run)) as store:
        save_shown_completions(
            run.folder, dataset, test, accepted, completer, store, config.run.seed
        )
    with journal.phase("probe"):
        probe = _probe(run, dataset, models, widths) if config.needs_probe else None
    models.release()
    data = ServerData(classes, test, validation, probe)
    prepared = PreparedRun(device, data, identities, admission, threshold, counts)
    if state:
        require_same("probe", state.probe, prepared.probe_hash)
        require_same("frozen encoder", state.models, prepared.encoders)
        for key, samples_hash in admission.data_hashes().items():
            if state.data.get(key, samples_hash) != samples_hash:
                log(WARNING, "Client %s has other samples than in the interrupted run.", key)
    return prepared


def _probe(
    run: OpenedRun, dataset: Dataset, models: FoundationModels, widths: dict[str, list[int]]
) -> Probe:
    """The probe of the run, which stands in its folder afterwards.

    That of the run which is gone on with is used again: another machine would generate one that
    differs in the last bits.

    Raises:
        DataError: it cannot be made or used, or is of other encoders or classes than the run.
    """
    config, saved = run.config, run.folder.probe
    if run.point and saved.is_file() and not config.probe.file:
        probe = load_probe(saved)
    else:
        cache = cache_folder(config.run)
        probe = prepare_probe(dataset, config.probe, config.data, models, cache)
    require_fitting(probe, widths, len(dataset.class_names))
    save_probe(saved, probe)
    return probe


def _announce(run: OpenedRun, class_names: list[str]) -> None:
    """Tell of the start.

    Raises:
        CheckpointError: the interrupted run had other classes.
    """
    values: dict[str, Any] = {
        "config": run.config.to_run_config(),
        "versions": versions(),
        "class-names": class_names,
    }
    if run.point is None:
        run.journal.event("run-start", values)
        return
    require_same("list of classes", run.point.state.class_names, class_names)
    log(INFO, "Going on after round %d of %s.", run.rounds_before, run.point.folder.path)
    run.journal.event("run-resume", {"after-round": run.rounds_before, **values})
