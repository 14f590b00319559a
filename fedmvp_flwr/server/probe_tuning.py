"""Further training of the averaged model on the synthetic probe, at the server.

The probe is labelled: each of its samples was generated for a class, from the public description
of that class. One short pass over it after each average hands the clients what the descriptions
say, also of classes that few of them own. Not in the paper; `probe-tuning = "off"` leaves it out.
"""

from dataclasses import replace

import torch
from flwr.app import ArrayRecord

from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.seeds import seed_for, torch_generator
from fedmvp_flwr.config.method import MethodSettings
from fedmvp_flwr.config.probe import ProbeSettings
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.config.training import TrainingSettings
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.model.training import cosine_decay, train
from fedmvp_flwr.server.probe import Probe

_METHOD = {
    "method": "fedavg",  # cross-entropy alone
    "modality-dropout": 0.5,  # half of the probe's pairs are shown as one modality alone
}


class ProbeTuner:
    """Trains the averaged arrays on the probe; a `refine` function of the strategy.

    Args:
        network: the architecture of the run, in any state, on the device to train on.
        run: seed, number of rounds and the wire's type.
        training: rate and batch size of the clients' training.
        probe: epochs of the tuning, and its share of that rate.
    """

    def __init__(
        self,
        network: FedMVPNetwork,
        run: RunSettings,
        training: TrainingSettings,
        probe: ProbeSettings,
    ) -> None:
        self._network = network
        self._run = run
        self._method = MethodSettings.model_validate(_METHOD)
        self._training = training.model_copy(update={"local_epochs": probe.probe_tuning_epochs})
        self._peak = training.learning_rate * probe.probe_tuning_rate

    def __call__(self, server_round: int, arrays: ArrayRecord, probe: Probe) -> ArrayRecord:
        """Return the arrays after the tuning of one round, in the wire's type."""
        purpose = ("probe-tuning", server_round)
        self._network.load_state_dict(unpack(arrays))
        with torch.random.fork_rng():  # dropout draws from the global generator
            torch.manual_seed(seed_for(self._run.seed, *purpose, "dropout"))
            train(
                self._network,
                as_real(probe.batch),
                self._method,
                self._training,
                self._peak * cosine_decay(server_round, self._run.num_server_rounds),
                torch_generator(self._run.seed, *purpose),
                {},
            )
        return pack(self._network.state_dict(), self._run.wire_dtype)


def as_real(batch: Batch) -> Batch:
    """Return the batch without its `generated` flags, so that no sample is hidden more often."""
    modalities = {
        name: replace(m, generated=torch.zeros_like(m.generated))
        for name, m in batch.modalities.items()
    }
    return Batch(modalities, batch.labels)
