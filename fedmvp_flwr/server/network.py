"""The global network of a run: built anew, or taken from a checkpoint."""

import torch

from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.config.training import TrainingSettings
from fedmvp_flwr.model.network import FedMVPNetwork


def build_network(
    settings: TrainingSettings, seed: int, features: Batch, num_classes: int
) -> FedMVPNetwork:
    """Build the initial global network, the same for the same seed."""
    with torch.random.fork_rng():  # torch's initialisers draw from the global generator
        torch.manual_seed(seed_for(seed, "network"))
        return FedMVPNetwork.from_settings(settings, features.widths, num_classes)


def fitting(
    tensors: dict[str, torch.Tensor], network: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint if they are those of the network.

    Raises:
        CheckpointError: other names or shapes; names them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        names = sorted(
            name for name in expected.keys() | found if expected.get(name) != found.get(name)
        )
        raise CheckpointError(f"The checkpoint belongs to another network: {names} differ.")
    return tensors
