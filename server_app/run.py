"""One federated run at the server, from the first message to the report."""

from logging import INFO, WARNING
from pathlib import Path
from typing import Any

import torch
from flwr.app import ConfigRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.nodes import NodeRegistry
from fedmvp_flwr.aggregation.options import RoundOptions
from fedmvp_flwr.aggregation.strategy import FedMVP
from fedmvp_flwr.aggregation.wire import check_message_size, pack, unpack
from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import DataError, ModelError
from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.checks import preflight
from fedmvp_flwr.protocol.messages import GATE_FALLBACK, class_names_record
from fedmvp_flwr.protocol.scores import average_client_metrics
from fedmvp_flwr.protocol.summary import Summary, fallback_threshold
from fedmvp_flwr.reporting.tensorboard import require_tensorboard
from fedmvp_flwr.server.admission import Admission
from fedmvp_flwr.server.best_model import BestModel
from fedmvp_flwr.server.data import ServerData
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.network import build_network, fitting
from fedmvp_flwr.server.probe import ProbeRepresenter, save_probe
from fedmvp_flwr.server.probe_tuning import ProbeTuner
from fedmvp_flwr.server.results import (
    require_same_encoders,
    run_hashes,
    save_model,
    total_completions,
)
from fedmvp_flwr.server.resume import (
    RunState,
    differing_clients,
    load_resume_point,
    require_history,
    require_same,
    require_same_config,
    restore,
)
from fedmvp_flwr.server.run_observer import RunObserver
from fedmvp_flwr.server.scoring import Scorer
from fedmvp_flwr.server.selection import Selection

_MIN_CLIENTS = 2


class Run:
    """A run and what it leaves in its folder.

    Everything is checked before what an earlier run has left there is touched.

    Args:
        config: the run's settings.
        out: existing folder of the results.

    Raises:
        CheckpointError: the run to resume cannot be gone on with; its folder is left as it is.
        ConfigError: the folder holds another run that was not completed.
        DataError: all that the preflight found.
        ReportError: the curves for TensorBoard are asked for, without the package.
    """

    def __init__(self, config: RunConfig, out: RunFolder) -> None:
        self.config = config
        self.out = out
        self.point = load_resume_point(Path(config.run.resume)) if config.run.resume else None
        in_place = self.point is not None and self.point.folder.path.samefile(out.path)
        if self.point:
            require_same_config(config, self.point.state)
            require_history(self.point)
        if not in_place:
            out.require_overwritable()
        self._check()
        if not in_place:
            out.clear()
        if self.point:
            restore(self.point, out)
        self.state = self.point.state if self.point else None
        self.journal = Journal(config, out, self.state)
        self.minimum = max(config.run.min_nodes, _MIN_CLIENTS)
        selection = self.state.selection if self.state else Selection()
        self.best = BestModel(config, out, self.journal, selection)

    def execute(self, grid: Grid) -> None:
        """Prepare clients and server, run the rounds, write the results."""
        self.device = resolve_device(self.config.run.device)
        self.models = frozen_models(self.config, str(self.device))
        self.identities = self.models.identities()
        self.data = ServerData.load(self.config)
        self._announce()
        self.registry = NodeRegistry(self.state.names if self.state else None)
        summaries = self._prepare(grid)
        network = build_network(self.config, self.data.reference, self.data.num_classes)
        self.network = network.to(self.device)
        self.scorer = Scorer(self.config, self.network, self.data, self.threshold, self.journal)
        with self.journal.phase("training"):
            final = self._train(grid, summaries)
        self._finish(final)

    def _check(self) -> None:
        """Look for everything wrong; of a failure, leave a result where there is none yet."""
        if self.config.run.tensorboard:
            require_tensorboard()
        try:
            preflight(self.config, 0).raise_problems()
        except Exception as error:
            if self.out.newest_round() or self.out.completed:
                log(WARNING, "%s still holds an earlier run, as it was.", self.out.path)
            else:
                self.out.clear()
                Journal(self.config, self.out).fail(error)
            raise

    def _announce(self) -> None:
        values = {
            "config": self.config.to_run_config(),
            "versions": versions(),
            "class-names": list(self.data.class_names),
        }
        if self.point is None:
            self.journal.event("run-start", values)
            return
        require_same("list of classes", self.point.state.class_names, values["class-names"])
        log(INFO, "Going on after round %d of %s.", self.point.server_round, self.point.folder.path)
        self.journal.event("run-resume", {"after-round": self.point.server_round, **values})

    def _prepare(self, grid: Grid) -> list[Summary]:
        """Let the nodes prepare, and prepare the server's own data meanwhile."""
        config, journal = self.config, self.journal
        with journal.phase("completion"):
            nodes = self.registry.present(grid, self.minimum, config.run.node_timeout)
            self.admission = Admission(
                self.registry,
                RecordDict({"dataset": class_names_record(self.data.class_names)}),
                check=self._check_summary,
                on_ready=self._on_ready,
                on_refused=self._on_refused,
            )
            self.admission.ask(grid, nodes)
            self.data.prepare(config, self.models)  # while the clients prepare
            needed = self.minimum if config.run.min_nodes else 0
            summaries = self.admission.wait(grid, needed, config.run.round_timeout)
        if not any(summary["trainable"] for summary in summaries):
            raise DataError(
                "No client has anything to train on: all samples are incomplete and "
                "incomplete='drop'. Use incomplete='mask', or fewer holes."
            )
        # Summed over processes that work side by side, unlike the other, wall-clock, figures.
        journal.seconds["features"] = self.data.test.seconds["features"] + sum(
            summary["seconds"]["features"] for summary in summaries
        )
        self.threshold = self.state.threshold if self.state else fallback_threshold(summaries)
        self.data.save_completions(self.out, config, self.models, self.threshold)
        with journal.phase("probe"):
            saved = self.out.probe if self.state else None
            self.data.prepare_probe(config, self.models, saved)
            if self.data.probe:
                save_probe(self.out.probe, self.data.probe)
        if self.state:
            self._check_state(self.state, summaries)
        self.models.release()
        return summaries

    def _check_state(self, state: RunState, summaries: list[Summary]) -> None:
        require_same("probe", state.probe, self.data.probe and self.data.probe.digest)
        require_same("frozen encoder", state.models, self._fingerprints())
        for key in differing_clients(state.data, _data_hashes(summaries)):
            log(WARNING, "Client %s has other samples than in the interrupted run.", key)

    def _check_summary(self, summary: Summary) -> str | None:
        ours, theirs = self.data.reference.widths, summary.get("widths")
        if theirs != ours:
            return (
                f"its frozen features have widths {theirs} (tokens, pooled), those of this run "
                f"{ours}: its frozen encoders are others"
            )
        try:
            require_same_encoders([summary], self.identities)
        except ModelError as error:
            return str(error)
        counts = summary.get("labels", [])
        if len(counts) != self.data.num_classes:
            return f"it knows {len(counts)} classes, this run has {self.data.num_classes}"
        return None

    def _on_ready(self, summary: Summary) -> None:
        self.journal.event("client", summary)

    def _on_refused(self, key: int, reason: str) -> None:
        self.journal.event("client-refused", {"client": key, "reason": reason})

    def _train(self, grid: Grid, summaries: list[Summary]) -> dict[str, torch.Tensor]:
        """Run the rounds; return the model that was selected."""
        config = self.config
        initial = self.network.state_dict()
        if self.point:
            initial = fitting(self.point.tensors, initial)
        arrays = pack(initial, config.run.wire_dtype)
        size = check_message_size(wrap(arrays), config.run.max_message_mb)
        log(INFO, "Model message: %d bytes each way.", size)
        strategy = self._strategy()
        last = config.run.num_server_rounds
        if self.point and self.best.exhausted:
            last = self.point.server_round
            log(INFO, "Training had ended early, with round %d: no further one is run.", last)
        result = strategy.start(
            grid,
            arrays,
            last,
            timeout=config.run.round_timeout,
            train_config=self._message_config(),
            evaluate_config=self._message_config(),
            evaluate_fn=self.scorer.evaluate,
            first_round=self.point.server_round + 1 if self.point else 1,
        )
        self.selected, final = self.best.selected(self.observer.last_round, unpack(result.arrays))
        return final

    def _message_config(self) -> ConfigRecord:
        names = class_names_record(self.data.class_names)
        return ConfigRecord({**names, GATE_FALLBACK: self.threshold})

    def _strategy(self) -> FedMVP:
        config = self.config
        self.observer = RunObserver(
            self.admission,
            self.journal,
            self.best,
            self.scorer,
            self._state,
            last_round=self.point.server_round if self.point else 0,
        )
        return FedMVP(
            self.data.probe,
            ProbeRepresenter(self.network, self.device),
            weighting=config.method.client_weighting,
            graph_temperature=config.method.graph_temperature,
            refine=self._tuner() if config.tunes_on_probe else None,
            seed=config.run.seed,
            options=RoundOptions(
                evaluate_every=config.run.evaluate_every,
                min_replies=config.run.min_replies,
                round_retries=config.run.round_retries,
                node_timeout=config.run.node_timeout,
                checkpoint_dir=self.out.checkpoints,
                compress=True,
            ),
            observer=self.observer,
            nodes=self.registry,
            evaluate_metrics_aggr_fn=average_client_metrics,
            fraction_train=config.run.fraction_train,
            fraction_evaluate=config.run.fraction_evaluate,
            min_train_nodes=_MIN_CLIENTS,
            min_evaluate_nodes=_MIN_CLIENTS if config.run.fraction_evaluate else 0,
            min_available_nodes=self.minimum,
        )

    def _tuner(self) -> ProbeTuner:
        config = self.config
        return ProbeTuner(self.network, config.run, config.training, config.probe)

    def _state(self) -> dict[str, Any]:
        """What the checkpoint of the round that just ended holds besides the arrays."""
        size, digest = self.journal.mark()
        return RunState(
            config=self.config.to_run_config(),
            class_names=list(self.data.class_names),
            probe=self.data.probe.digest if self.data.probe else None,
            models=self._fingerprints(),
            threshold=self.threshold,
            history_bytes=size,
            history_hash=digest,
            bytes=self.journal.bytes,
            seconds=self.journal.all_seconds(),
            selection=self.best.selection,
            names=self.registry.names,
            clients=len(self.admission.summaries),
            data=_data_hashes(self.admission.ready()),
        ).to_json()

    def _fingerprints(self) -> dict[str, str]:
        return {
            "image": self.models.fingerprint("image_encoder"),
            "text": self.models.fingerprint("text_encoder"),
        }

    def _finish(self, final: dict[str, torch.Tensor]) -> None:
        self.network.load_state_dict(final)
        save_model(
            self.out.model,
            self.network.state_dict(),
            self.config,
            self.data.class_names,
        )
        summaries = self.admission.ready()
        self.journal.finish(
            {
                **self.scorer.of_selected(self.selected, self.out),
                "scores-from": "server" if self.scorer.has_test else "clients",
                "rounds": {"last": self.observer.last_round, "selected": self.selected},
                "completions": total_completions(summaries),
                "models": self.identities,
                "hashes": run_hashes(
                    summaries, self.data.probe.digest if self.data.probe else None
                ),
                "clients": len(summaries),
            }
        )


def _data_hashes(summaries: list[Summary]) -> dict[str, str]:
    return {str(s["partition-id"]): record_hash(s["hashes"]) for s in summaries}
