"""Flower's SuperLink, patient and guarded: `python -m fedmvp_flwr.superlink`.

Flower 1.41 waits five seconds for the lock of its SQLite file and then answers 500, which on an
overloaded machine ends runs (docs/reliability.md). No option changes that, and the timeout of a
database URL is overridden; so the setting is exchanged before Flower's own command starts. And it
lets everyone steer it who reaches its port (`fedmvp_flwr.control_guard`).
"""

import os
from collections.abc import Mapping

from flwr.supercore import sql_mixin
from flwr.superlink import extensions
from flwr.superlink.cli import flower_superlink
from starlette.middleware import Middleware

from fedmvp_flwr.control_guard import ControlGuard, networks_from

_SETTINGS = "SQLITE_PRAGMAS"
_BUSY_TIMEOUT = "busy_timeout"
_MILLISECONDS = "60000"
_HOOK = "get_middleware"


def wait_longer() -> None:
    """Let SQLite wait a minute for a lock, for all connections that are opened from now on."""
    module = vars(sql_mixin)
    module[_SETTINGS] = tuple(
        (name, _MILLISECONDS if name == _BUSY_TIMEOUT else value)
        for name, value in module[_SETTINGS]
    )


def guard_control(env: Mapping[str, str]) -> None:
    """Put the guard before everything that the SuperLink answers from now on.

    Args:
        env: may name networks that are trusted.

    Raises:
        ConfigError: it names something else.
    """
    networks = networks_from(env)
    module = vars(extensions)
    others = module[_HOOK]
    module[_HOOK] = lambda: (Middleware(ControlGuard, networks=networks), *others())


if __name__ == "__main__":
    wait_longer()
    guard_control(os.environ)
    flower_superlink()
