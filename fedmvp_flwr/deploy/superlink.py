"""Flower's SuperLink, patient and guarded: `python -m fedmvp_flwr.deploy.superlink`.

Flower 1.41 waits five seconds for the lock of its SQLite file and then answers 500, which on an
overloaded machine ends runs (docs/reliability.md). No option changes that, and the timeout of a
database URL is overridden; so the setting is exchanged before Flower's own command starts. And it
lets everyone steer it who reaches its port (`fedmvp_flwr.deploy.control_guard`).
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from flwr.supercore import sql_mixin
from flwr.superlink import extensions
from flwr.superlink.cli import flower_superlink
from starlette.middleware import Middleware

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.deploy.control_guard import ControlGuard, networks_from

_SETTINGS = "SQLITE_PRAGMAS"
_BUSY_TIMEOUT = "busy_timeout"
_MILLISECONDS = "60000"
_HOOK = "get_middleware"
_EVERYWHERE = ("", "0.0.0.0", "::")


def wait_longer() -> None:
    """Let SQLite wait a minute for a lock, for all connections that are opened from now on."""
    module = vars(sql_mixin)
    module[_SETTINGS] = tuple(
        (name, _MILLISECONDS if name == _BUSY_TIMEOUT else value)
        for name, value in module[_SETTINGS]
    )


def guard_control(env: Mapping[str, str], arguments: Sequence[str]) -> None:
    """Put the guard before everything that the SuperLink answers from now on.

    Args:
        env: may name networks that are trusted.
        arguments: of the SuperLink; its SuperExec asks it at the one address of `--host`.

    Raises:
        ConfigError: `env` names something else, or this Flower takes no guard.
    """
    networks = networks_from(env)
    own_address = _host(arguments) not in _EVERYWHERE
    module = vars(extensions)
    others = module[_HOOK]
    guard = Middleware(ControlGuard, networks=networks, own_address=own_address)
    module[_HOOK] = lambda: (guard, *others())
    from flwr.superlink import main

    if guard not in vars(main)["_get_middleware"]():
        raise ConfigError("This version of Flower takes no guard; everyone could steer it.")


def _host(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--host", default="")
    return str(parser.parse_known_args(arguments)[0].host)


if __name__ == "__main__":
    wait_longer()
    guard_control(os.environ, sys.argv[1:])
    flower_superlink()
