"""One frozen, typed configuration, built once from Flower's flat run-config.

Flower hands every ServerApp and ClientApp a flat mapping of kebab-case keys to bool, int, float
or str. `RunConfig` checks it as a whole and reports everything that is wrong with it at once.
Each module here holds the settings of one subject.
"""

from fedmvp_flwr.config.run import FREE_KEYS
from fedmvp_flwr.config.run_config import RunConfig

__all__ = ["FREE_KEYS", "RunConfig"]
