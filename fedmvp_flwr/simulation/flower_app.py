"""Which Flower app to run, and with which run-config.

Flower reads `key=value` pairs with a regular expression and silently skips what does not match,
so the overrides are parsed strictly here and handed to Flower as one TOML file.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.nearest import did_you_mean

ConfigValue = bool | int | float | str

PATH_KEYS = ("out-dir", "cache-dir", "class-names-file", "resume")
"""Run-config keys that hold paths. The ServerApp runs in another folder: they must be absolute."""

_PAIR = re.compile(r"""\s*([^\s=]+)=('[^']*'|"[^"]*"|[^\s'"]+)(?=\s|$)""")


@dataclass(frozen=True)
class FlowerApp:
    """A Flower app on disk.

    Attributes:
        path: the absolute folder of its pyproject.toml.
        defaults: the flat `[tool.flwr.app.config]`.
    """

    path: Path
    defaults: dict[str, ConfigValue]

    @property
    def ships_library(self) -> bool:
        """Whether the app bundles `fedmvp_flwr`, so that `RunConfig` describes its run-config."""
        return (self.path / "fedmvp_flwr" / "__init__.py").is_file()


def load_app(path: Path) -> FlowerApp:
    """Read the pyproject.toml of a Flower app.

    Raises:
        ConfigError: no pyproject.toml, not TOML, or no `[tool.flwr.app]` in it.
    """
    folder = expanded(path, ConfigError, "--app").resolve()
    project = folder / "pyproject.toml"
    app = _read_toml(project, "--app").get("tool", {}).get("flwr", {}).get("app")
    if app is None:
        raise ConfigError(
            f"{project} has no [tool.flwr.app]. Name the folder of a Flower app with --app."
        )
    return FlowerApp(folder, _flatten(app.get("config", {}), str(project)))


def parse_overrides(items: Iterable[str]) -> dict[str, ConfigValue]:
    """Read `--run-config` items; later ones win.

    Args:
        items: each the name of a flat TOML file (`*.toml`) or pairs like
            `num-server-rounds=5 method='fedavg'`. A bare word is taken as a string.

    Raises:
        ConfigError: a file that cannot be read, or text that is no pair.
    """
    overrides: dict[str, ConfigValue] = {}
    for item in items:
        if item.endswith(".toml"):
            overrides |= _flatten(_read_toml(Path(item), "--run-config"), item)
        else:
            overrides |= _parse_pairs(item)
    return overrides


def absolute_paths(overrides: Mapping[str, ConfigValue], base: Path) -> dict[str, ConfigValue]:
    """Resolve the paths among the overrides against `base`; empty ones stay empty.

    Paths are the values of `PATH_KEYS`, PATH in `file:PATH`, and PATH in `dataset='SOURCE:PATH'`.
    """
    return {key: _absolute(key, value, base) for key, value in overrides.items()}


def _absolute(key: str, value: ConfigValue, base: Path) -> ConfigValue:
    if not value:
        return value
    if key in PATH_KEYS:
        return str((base / expanded(str(value), ConfigError, key)).resolve())
    kind, _, place = str(value).partition(":")
    if not place or (key != "dataset" and kind != "file"):
        return value
    path = (base / expanded(place, ConfigError, key)).resolve()
    # What a data source gets may be a name or a number, unless there is such a folder here.
    return f"{kind}:{path}" if kind == "file" or os.path.exists(path) else value


def check_keys(app: FlowerApp, overrides: Mapping[str, ConfigValue]) -> None:
    """Refuse overrides that the app does not declare, as Flower would after its start.

    Raises:
        ConfigError: names every such key and the nearest declared one.
    """
    problems = [
        f"'{key}'{did_you_mean(key, app.defaults)}" for key in overrides if key not in app.defaults
    ]
    if problems:
        raise ConfigError(
            f"Unknown run-config key {', '.join(problems)}: not in [tool.flwr.app.config] of "
            f"{app.path / 'pyproject.toml'}."
        )


def write_overrides(overrides: Mapping[str, ConfigValue], path: Path) -> None:
    """Write the overrides as the TOML file that `flwr run --run-config` reads."""
    lines = [f"{_to_toml(key)} = {_to_toml(value)}\n" for key, value in overrides.items()]
    path.write_text("".join(lines), encoding="utf-8")


def _to_toml(value: ConfigValue) -> str:
    # JSON is TOML here, but for infinities and for characters escaped as surrogate pairs.
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _read_toml(path: Path, option: str) -> dict[str, Any]:
    try:
        return tomllib.loads(expanded(path, ConfigError, option).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {path} ({error.strerror}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{option}: {path} is not valid TOML: {error}.") from error


def _parse_pairs(text: str) -> dict[str, ConfigValue]:
    pairs: dict[str, ConfigValue] = {}
    end = 0
    while text[end:].strip():
        match = _PAIR.match(text, end)
        if match is None:
            raise ConfigError(
                f"--run-config: cannot read {text[end:].strip()!r}. Write pairs separated by "
                "spaces, like \"num-server-rounds=5 method='fedavg'\", or name a .toml file."
            )
        pairs[match[1]] = _parse_value(match[2])
        end = match.end()
    return pairs


def _parse_value(text: str) -> ConfigValue:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _flatten(table: Mapping[str, Any], source: str, prefix: str = "") -> dict[str, ConfigValue]:
    flat: dict[str, ConfigValue] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, source, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            flat[prefix + key] = value
        else:
            raise ConfigError(
                f"{source}: {prefix}{key} is a {type(value).__name__}, but Flower's run-config "
                "holds only booleans, numbers and strings."
            )
    return flat
