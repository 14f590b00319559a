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
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.model.training import train
from fedmvp_flwr.server.probe import Probe

_MODALITY_DROPOUT = 0.5  # of the probe's pairs: half are shown as one modality alone


class ProbeTuner:
    """Trains the averaged arrays on the probe; a `refine` function of the strategy.

    Args:
        network: the architecture of the run, in any state, on the device to train on.
        config: rate and epochs of the tuning, and the seed.
    """

    def __init__(self, network: FedMVPNetwork, config: RunConfig) -> None:
        self._network = network
        self._seed = config.run.seed
        self._wire_dtype = config.run.wire_dtype
        self._config = config.changed(
            method="fedavg",  # cross-entropy alone
            local_epochs=config.probe.probe_tuning_epochs,
            learning_rate=config.training.learning_rate * config.probe.probe_tuning_rate,
            modality_dropout=_MODALITY_DROPOUT,
        )

    def __call__(self, server_round: int, arrays: ArrayRecord, probe: Probe) -> ArrayRecord:
        """Return the arrays after the tuning of one round, in the wire's type."""
        purpose = ("probe-tuning", server_round)
        self._network.load_state_dict(unpack(arrays))
        with torch.random.fork_rng():  # dropout draws from the global generator
            torch.manual_seed(seed_for(self._seed, *purpose, "dropout"))
            train(
                self._network,
                as_real(probe.batch),
                self._config,
                server_round,
                torch_generator(self._seed, *purpose),
            )
        return pack(self._network.state_dict(), self._wire_dtype)


def as_real(batch: Batch) -> Batch:
    """Return the batch without its `generated` flags, so that no sample is hidden more often."""
    modalities = {
        name: replace(m, generated=torch.zeros_like(m.generated))
        for name, m in batch.modalities.items()
    }
    return Batch(modalities, batch.labels)
