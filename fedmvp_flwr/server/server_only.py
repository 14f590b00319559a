"""The baseline without a federation: the model learns from the server's labelled probe alone."""

from flwr.app import ArrayRecord

from fedmvp_flwr.aggregation.observer import FinishedRound
from fedmvp_flwr.server.probe import Probe
from fedmvp_flwr.server.probe_tuning import ProbeTuner
from fedmvp_flwr.server.run_observer import RunObserver
from fedmvp_flwr.server.scoring import Scorer


def train_at_server(
    tuner: ProbeTuner,
    scorer: Scorer,
    observer: RunObserver,
    arrays: ArrayRecord,
    probe: Probe,
    rounds: int,
) -> ArrayRecord:
    """Train on the probe for as many rounds as a federation would take.

    Args:
        tuner: of the run; its epochs are those of a round.
        scorer: of the run.
        observer: keeps the best model, and may end the run.
        arrays: to begin with.
        probe: of the run.
        rounds: of the run.

    Returns:
        The arrays after the last round.
    """
    for server_round in range(1, rounds + 1):
        arrays = tuner(server_round, arrays, probe)
        scores = scorer.evaluate(server_round, arrays)
        if observer.finished(FinishedRound(server_round, arrays, None, scores)):
            break
    return arrays
