"""What a setting chooses by name from a registry: `NAME`, or `NAME:VALUE`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.nearest import did_you_mean

SMALLEST = math.ulp(0.0)  # the least number above 0


@dataclass(frozen=True)
class Value:
    """What follows a name and a colon.

    Attributes:
        what: how messages call it, as "a number above 0".
        read: makes it of the text; raises a ValueError.
        default: what it is without a colon; None: there has to be one.
    """

    what: str
    read: Callable[[str], Any]
    default: Any = None


class Choice(Protocol):
    """An entry of a registry."""

    @property
    def value(self) -> Value | None:
        """What follows the name; None: nothing may."""
        ...


_C = TypeVar("_C", bound=Choice)


def choose(key: str, setting: str, registry: Mapping[str, _C]) -> tuple[_C, Any]:
    """Find what a setting names, and the value that it gives along, None where there is none.

    Args:
        key: the setting's name.
        setting: what it says.
        registry: by name everything that there is.

    Raises:
        ConfigError: no such name (with the nearest), or no value of the kind that it takes.
    """
    name, colon, rest = setting.partition(":")
    if name not in registry:
        allowed = ", ".join(f"{n}:..." if c.value else n for n, c in sorted(registry.items()))
        raise ConfigError(f"{key}='{setting}': expected {allowed}{did_you_mean(name, registry)}.")
    choice = registry[name]
    value = choice.value
    if not colon and (value is None or value.default is not None):
        return choice, value and value.default
    if value is None:
        raise ConfigError(f"{key}='{setting}': expected '{name}' alone.")
    try:
        return choice, value.read(rest)
    except ValueError:
        raise ConfigError(f"{key}='{setting}': expected '{name}:' and {value.what}.") from None


def text(rest: str) -> str:
    """Read a text that is not empty."""
    if not rest.strip():
        raise ValueError
    return rest


def number(kind: type[int] | type[float], least: float) -> Callable[[str], int | float]:
    """Return what reads a finite number that is not below the least one."""

    def read(rest: str) -> int | float:
        value = kind(rest)
        if not least <= value < math.inf:
            raise ValueError
        return value

    return read


def share(rest: str) -> float:
    """Read a number in [0, 1)."""
    value = float(rest)
    if not 0 <= value < 1:
        raise ValueError
    return value
