"""Flower's SuperLink with more patience for its own database: `python -m fedmvp_flwr.superlink`.

Flower 1.41 waits five seconds for the lock of its SQLite file and then answers 500, which on an
overloaded machine ends runs (docs/reliability.md). No option changes that, and the timeout of a
database URL is overridden; so the setting is exchanged before Flower's own command starts.
"""

from flwr.supercore import sql_mixin
from flwr.superlink.cli import flower_superlink

_SETTINGS = "SQLITE_PRAGMAS"
_BUSY_TIMEOUT = "busy_timeout"
_MILLISECONDS = "60000"


def wait_longer() -> None:
    """Let SQLite wait a minute for a lock, for all connections that are opened from now on."""
    module = vars(sql_mixin)
    module[_SETTINGS] = tuple(
        (name, _MILLISECONDS if name == _BUSY_TIMEOUT else value)
        for name, value in module[_SETTINGS]
    )


if __name__ == "__main__":
    wait_longer()
    flower_superlink()
