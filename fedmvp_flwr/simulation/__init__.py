"""Flower simulations that are isolated, watched, and leave no process behind."""

from fedmvp_flwr.base.errors import SimulationError
from fedmvp_flwr.simulation.launcher import SimulationOutcome, run_simulation

__all__ = ["SimulationError", "SimulationOutcome", "run_simulation"]
