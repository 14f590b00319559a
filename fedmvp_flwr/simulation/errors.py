"""The error of a simulation that could not be started, watched or stopped."""

from fedmvp_flwr.errors import FedMVPError


class SimulationError(FedMVPError, RuntimeError):
    """Flower's processes could not be started, asked or stopped."""
