"""One federated run at the server, from the first message to the report."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from logging import INFO
from pathlib import Path
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.aggregation.probe import (
    Probe,
    ProbeRepresenter,
    require_same_features,
    save_probe,
)
from fedmvp_flwr.aggregation.scores import average_client_metrics
from fedmvp_flwr.aggregation.strategy import FedMVP, RoundRecord
from fedmvp_flwr.aggregation.wire import check_message_size, pack, unpack
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.records import record_hash
from fedmvp_flwr.data.registry import load_dataset
from fedmvp_flwr.devices import resolve_device
from fedmvp_flwr.errors import DataError
from fedmvp_flwr.evaluation import (
    NestedScores,
    evaluate_conditions,
    flatten_scores,
    unflatten_scores,
)
from fedmvp_flwr.features import Batch
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.preparation import (
    GATE_FALLBACK,
    conditions,
    fallback_threshold,
    prepare_probe,
)
from fedmvp_flwr.probe_tuning import ProbeTuner
from fedmvp_flwr.reporting import JsonlSink, ReportError, write_report_if_available
from fedmvp_flwr.results import (
    clear_results,
    require_same_encoders,
    run_hashes,
    save_model,
    total_completions,
    versions,
    write_json,
)
from fedmvp_flwr.seeds import seed_for
from fedmvp_flwr.server_data import prepare_server_test, save_completion_samples

_MIN_CLIENTS = 2
_PULL_INTERVAL = 0.5  # seconds


class Run:
    """A run and what it leaves in its folder.

    Args:
        config: the run's settings.
        out: existing folder of the results.
    """

    def __init__(self, config: RunConfig, out: Path) -> None:
        self.config = config
        self.out = out
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        clear_results(out)
        self._sink = JsonlSink(out / "metrics.jsonl")
        self._began = time.monotonic()

    def execute(self, grid: Grid) -> None:
        """Prepare clients and server, run the rounds, write the results."""
        config = self.config
        dataset = load_dataset(config)
        device = resolve_device(config.device)
        models = FoundationModels.from_config(config, str(device))
        self._event(
            "run-start",
            {
                "config": config.to_run_config(),
                "versions": versions(),
                "class-names": list(dataset.class_names),
            },
        )

        with self._phase("completion"):
            nodes = NodeRegistry().connected(grid, _MIN_CLIENTS, config.round_timeout)
            pending = grid.push_messages(
                [Message(RecordDict(), node_id, "query.prepare") for node_id in nodes]
            )
            test = prepare_server_test(dataset, config, models)  # while the clients prepare
            summaries = collect_summaries(grid, pending, config.round_timeout)
        require_same_encoders(summaries, models.identities())
        for summary in summaries:
            self._event("client", summary)
        # Summed over processes that work side by side, unlike the other, wall-clock, figures.
        self.seconds["features"] = test.seconds["features"] + sum(
            summary["seconds"]["features"] for summary in summaries
        )
        threshold = fallback_threshold(summaries)
        save_completion_samples(self.out, dataset, config, models, test, threshold)

        with self._phase("probe"):
            probe = prepare_probe(dataset, config, models) if config.needs_probe else None
            if probe:
                require_same_features(probe, test.real)
                save_probe(self.out / "probe.safetensors", probe)
        self._models = models.identities()
        models.release()

        num_classes = len(dataset.class_names)
        network = build_network(config, test.real, num_classes).to(device)
        self._tests = conditions(test, threshold, config)
        strategy = self._strategy(network, probe, device, without_samples(summaries))
        with self._phase("training"):
            arrays = pack(network.state_dict(), config.wire_dtype)
            self.bytes["download-per-client-round"] = check_message_size(
                arrays, config.max_message_mb
            )
            log(INFO, "Model message: %d bytes each way.", self.bytes["download-per-client-round"])
            result = strategy.start(
                grid,
                arrays,
                config.num_server_rounds,
                timeout=config.round_timeout,
                train_config=ConfigRecord({GATE_FALLBACK: threshold}),
                evaluate_config=ConfigRecord({GATE_FALLBACK: threshold}),
                evaluate_fn=lambda r, a: self._evaluate(network, r, a, num_classes),
            )
        for server_round, metrics in result.evaluate_metrics_clientapp.items():
            scores = unflatten_scores(metrics)
            self._event("evaluation", {"round": server_round, "where": "clients", **scores})
        network.load_state_dict(unpack(result.arrays))
        save_model(
            self.out / "model.safetensors", network.state_dict(), config, dataset.class_names
        )
        self._finish(summaries, probe, self._scores)

    def fail(self, error: Exception) -> None:
        """Leave a `result.json` that says why the run failed, and a report of what there is."""
        self._event("run-end", {"status": "failed", "reason": str(error)})
        write_json(
            self.out / "result.json",
            {
                "status": "failed",
                "reason": str(error),
                "config": self.config.to_run_config(),
                "versions": versions(),
                "seconds": self._all_seconds(),
            },
        )
        with suppress(ReportError):  # the run's own error is what the user must see
            write_report_if_available(self.out)

    def _strategy(
        self,
        network: FedMVPNetwork,
        probe: Probe | None,
        device: torch.device,
        idle: frozenset[int],
    ) -> FedMVP:
        config = self.config
        return FedMVP(
            probe,
            ProbeRepresenter(network, device),
            weighting=config.client_weighting,
            graph_temperature=config.graph_temperature,
            refine=ProbeTuner(network, config) if config.tunes_on_probe else None,
            seed=config.seed,
            evaluate_every=config.evaluate_every,
            checkpoint_dir=self.out / "checkpoints",
            checkpoint_metadata={
                "config": record_hash(config.to_run_config()),
                "probe": probe.digest if probe else None,
            },
            on_round=self._on_round,
            idle=idle,
            evaluate_metrics_aggr_fn=average_client_metrics,
            fraction_train=config.fraction_train,
            fraction_evaluate=config.fraction_evaluate,
            min_train_nodes=_MIN_CLIENTS,
            min_evaluate_nodes=_MIN_CLIENTS if config.fraction_evaluate else 0,
            min_available_nodes=_MIN_CLIENTS,
        )

    def _on_round(self, record: RoundRecord) -> None:
        self.bytes["upload-per-client-round"] = max(
            record.bytes_up, self.bytes.get("upload-per-client-round", 0)
        )
        metrics = {k: v for k, v in record.metrics.items() if k != "num-examples"}
        self._event(
            "round",
            {
                "round": record.server_round,
                "clients": record.clients,
                "weights": record.weights,
                "importance": record.importance,
                "similarity": record.similarity,
                "train": {"loss": metrics.pop("total", None), **metrics},
                "bytes": {"up": record.bytes_up, "down": record.bytes_down},
                "seconds": record.seconds,
                "rejected": [{"client": r.client, "reason": r.reason} for r in record.rejected],
            },
        )

    def _evaluate(
        self, network: FedMVPNetwork, server_round: int, arrays: ArrayRecord, num_classes: int
    ) -> MetricRecord | None:
        last = server_round == self.config.num_server_rounds
        if server_round % self.config.evaluate_every and not last:
            return None
        network.load_state_dict(unpack(arrays))
        self._scores = evaluate_conditions(network, self._tests, num_classes)
        self._event("evaluation", {"round": server_round, "where": "server", **self._scores})
        return MetricRecord(dict(flatten_scores(self._scores)))

    def _finish(
        self, summaries: list[dict[str, Any]], probe: Probe | None, scores: NestedScores
    ) -> None:
        self._event("run-end", {"status": "completed"})
        self.seconds["total"] = time.monotonic() - self._began
        write_json(
            self.out / "result.json",
            {
                "status": "completed",
                **scores,
                "bytes": self.bytes,
                "seconds": self._all_seconds(),
                "completions": total_completions(summaries),
                "models": self._models,
                "config": self.config.to_run_config(),
                "versions": versions(),
                "hashes": run_hashes(summaries, probe.digest if probe else None),
                "clients": len(summaries),
            },
        )
        self._sink.close()
        report = write_report_if_available(self.out)
        log(INFO, "Results: %s, report: %s", self.out, report or "none (extra 'report')")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._event("phase", {"name": name, "status": "start"})
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._event("phase", {"name": name, "status": "end", "seconds": self.seconds[name]})

    def _all_seconds(self) -> dict[str, float]:
        return {**self.seconds, "total": time.monotonic() - self._began}

    def _event(self, name: str, values: dict[str, Any]) -> None:
        self._sink.write({"event": name, **values})


def without_samples(summaries: list[dict[str, Any]]) -> frozenset[int]:
    """The clients that have nothing to train on, by partition.

    Raises:
        DataError: no client has anything.
    """
    idle = frozenset(int(s["partition-id"]) for s in summaries if not s["trainable"])
    if len(idle) == len(summaries):
        raise DataError(
            "No client has anything to train on: all samples are incomplete and "
            "incomplete='drop'. Use incomplete='mask', or fewer holes."
        )
    return idle


def build_network(config: RunConfig, features: Batch, num_classes: int) -> FedMVPNetwork:
    """Build the initial global network, the same for the same seed."""
    modalities = features.modalities
    with torch.random.fork_rng():  # torch's initialisers draw from the global generator
        torch.manual_seed(seed_for(config.seed, "network"))
        return FedMVPNetwork.from_config(
            config,
            {name: m.tokens.shape[2] for name, m in modalities.items()},
            {name: m.pooled.shape[1] for name, m in modalities.items()},
            num_classes,
        )


def collect_summaries(
    grid: Grid, message_ids: Iterable[str], timeout: float
) -> list[dict[str, Any]]:
    """Wait for every client to be ready; return their summaries ordered by partition.

    Raises:
        DataError: clients that did not answer or cannot take part, all of them named.
    """
    waiting = set(message_ids)
    summaries: list[dict[str, Any]] = []
    problems: list[str] = []
    deadline = time.monotonic() + timeout
    while waiting and time.monotonic() < deadline:
        for reply in grid.pull_messages(waiting):
            waiting.discard(reply.metadata.reply_to_message_id)
            if reply.has_error():
                problems.append(f"a client failed to prepare: {reply.error.reason}")
                continue
            record = next(iter(reply.content.config_records.values()))
            if "problem" in record:
                problems.append(str(record["problem"]))
            else:
                summaries.append(json.loads(str(record["summary"])))
        time.sleep(_PULL_INTERVAL)
    if waiting:
        problems.append(f"{len(waiting)} client(s) did not prepare within {timeout:g} s")
    if problems:
        raise DataError("Not every client is ready: " + "; ".join(sorted(set(problems))))
    return sorted(summaries, key=lambda summary: int(summary["partition-id"]))
