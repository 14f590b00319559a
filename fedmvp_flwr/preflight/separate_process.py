"""The preflight in a process of its own, for a command that goes on to start a run.

It needs torch and whatever the data set's source needs; the command itself stays small, for as
long as the run takes.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children, get_context

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.findings import PreflightReport


def preflight_apart(config: RunConfig, num_clients: int) -> PreflightReport:
    """Check a run, and time its models, without loading a library of them into this process.

    Args:
        config: the run's settings.
        num_clients: how many clients share the training samples.

    Raises:
        FedMVPError: the preflight itself broke down.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_preflight, config, num_clients).result()
        except Exception as error:
            raise FedMVPError(
                f"The preflight broke down; --no-preflight goes on without it. "
                f"{type(error).__name__}: {error}"
            ) from error
        except KeyboardInterrupt:
            for process in active_children():  # nobody waits for its answer any more
                process.terminate()
            raise


def _preflight(config: RunConfig, num_clients: int) -> PreflightReport:
    from fedmvp_flwr.preflight.checks import preflight

    return preflight(config, num_clients, timed=True)
