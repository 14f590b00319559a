"""The rounds of a run: strategy and observer by its settings, and the model that is kept."""

from dataclasses import dataclass
from logging import INFO

import torch
from flwr.app import ArrayRecord, ConfigRecord
from flwr.common.logger import log
from flwr.serverapp import Grid

from fedmvp_flwr.aggregation.compression import wrap
from fedmvp_flwr.aggregation.options import RoundOptions
from fedmvp_flwr.aggregation.strategy import FedMVP
from fedmvp_flwr.aggregation.wire import check_message_size, pack, unpack
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.completion.gating import conditions
from fedmvp_flwr.config.training import TrainingSettings
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.protocol.messages import GATE_FALLBACK, class_names_record
from fedmvp_flwr.protocol.scores import average_client_metrics
from fedmvp_flwr.server.opened_run import MIN_CLIENTS, OpenedRun
from fedmvp_flwr.server.preparation import PreparedRun
from fedmvp_flwr.server.probe import ProbeRepresenter
from fedmvp_flwr.server.probe_tuning import ProbeTuner
from fedmvp_flwr.server.run_observer import RunObserver
from fedmvp_flwr.server.scoring import Scorer
from fedmvp_flwr.server.server_only import train_at_server


@dataclass(frozen=True)
class TrainedRun:
    """A run after its last round.

    Attributes:
        network: the model that was selected.
        scorer: of the run.
        last_round: that was finished.
        selected: the round of the model.
    """

    network: FedMVPNetwork
    scorer: Scorer
    last_round: int
    selected: int


def train(run: OpenedRun, prepared: PreparedRun, grid: Grid) -> TrainedRun:
    """Run the rounds.

    Raises:
        ConfigError: the model is too large for a message.
        RoundError: a round failed for good.
        RuntimeError: the checkpoint to go on from is of another network.
    """
    config, data = run.config, prepared.data
    network = build_network(config.training, config.run.seed, data.test.real, len(data.class_names))
    network = network.to(prepared.device)
    scorer = build_scorer(run, prepared, network)
    observer = RunObserver(run, prepared, scorer)
    with run.journal.phase("training"):
        arrays = _first_arrays(run, network)
        last = config.run.num_server_rounds
        if run.point and observer.best.exhausted:
            last = run.rounds_before
            log(INFO, "Training had ended early, with round %d: no further one is run.", last)
        told = {
            **class_names_record(data.class_names),
            **prepared.counts.record(),
            GATE_FALLBACK: prepared.threshold,
        }
        if config.method.name == "server-only" and data.probe:
            tuner = build_tuner(run, network)
            arrays = train_at_server(tuner, scorer, observer, arrays, data.probe, last)
        else:
            result = build_strategy(run, prepared, network, observer).start(
                grid,
                arrays,
                last,
                timeout=config.run.round_timeout,
                train_config=ConfigRecord(told),
                evaluate_config=ConfigRecord(told),
                evaluate_fn=scorer.evaluate,
                first_round=run.rounds_before + 1,
            )
            arrays = result.arrays
        selected, tensors = observer.best.selected(observer.last_round, unpack(arrays))
    network.load_state_dict(tensors)
    return TrainedRun(network, scorer, observer.last_round, selected)


def _first_arrays(run: OpenedRun, network: FedMVPNetwork) -> ArrayRecord:
    """What the first round begins with, if it fits into a message."""
    settings = run.config.run
    if run.point:
        network.load_state_dict(run.point.tensors)
    arrays = pack(network.state_dict(), settings.wire_dtype)
    size = check_message_size(wrap(arrays), settings.max_message_mb)
    log(INFO, "Model message: %d bytes each way.", size)
    return arrays


def build_scorer(run: OpenedRun, prepared: PreparedRun, network: FedMVPNetwork) -> Scorer:
    """What scores the model on the server's own samples."""
    data = prepared.data
    test, validation = (
        conditions(samples, prepared.threshold, run.config.completion, prepared.counts.unseen())
        for samples in (data.test, data.validation)
    )
    own_test = test if len(data.test) else None
    settings = run.config.run
    return Scorer(settings, network, own_test, validation, run.journal)


def build_strategy(
    run: OpenedRun, prepared: PreparedRun, network: FedMVPNetwork, observer: RunObserver
) -> FedMVP:
    """The strategy that a run's settings name."""
    config, settings = run.config, run.config.run
    return FedMVP(
        prepared.data.probe,
        ProbeRepresenter(network, prepared.device),
        weighting=config.method.client_weighting,
        graph_temperature=config.method.graph_temperature,
        refine=build_tuner(run, network) if config.tunes_on_probe else None,
        seed=settings.seed,
        options=RoundOptions(
            evaluate_every=settings.evaluate_every,
            min_replies=settings.min_replies,
            round_retries=settings.round_retries,
            node_timeout=settings.node_timeout,
            checkpoint_dir=run.folder.checkpoints,
            compress=True,
        ),
        observer=observer,
        nodes=prepared.admission.nodes,
        evaluate_metrics_aggr_fn=average_client_metrics,
        fraction_train=settings.fraction_train,
        fraction_evaluate=settings.fraction_evaluate,
        min_train_nodes=MIN_CLIENTS,
        min_evaluate_nodes=MIN_CLIENTS if settings.fraction_evaluate else 0,
        min_available_nodes=run.min_nodes,
    )


def build_tuner(run: OpenedRun, network: FedMVPNetwork) -> ProbeTuner:
    """What trains on the probe, by a run's settings."""
    config = run.config
    return ProbeTuner(network, config.run, config.training, config.probe)


def build_network(
    settings: TrainingSettings, seed: int, features: Batch, num_classes: int
) -> FedMVPNetwork:
    """Build the initial global network, the same for the same seed."""
    with torch.random.fork_rng():  # torch's initialisers draw from the global generator
        torch.manual_seed(seed_for(seed, "network"))
        return FedMVPNetwork(settings, features.widths, num_classes)
