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

PATHS_AFTER = {
    "dataset": ("coco", "cub", "fashion", "flickr30k", "flowers", "folder", "hf"),
    "partition": ("file",),
    "missing-pattern": ("file",),
    "test-missing-pattern": ("file",),
    "probe-source": ("file",),
}
"""Run-config keys whose value is KIND:PATH for these kinds."""

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
    try:
        table = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"No Flower app in {folder}: cannot read its pyproject.toml ({error.strerror}). "
            "Name the folder of the app with --app."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{folder / 'pyproject.toml'} is not valid TOML: {error}.") from error
    app = table.get("tool", {}).get("flwr", {}).get("app")
    if app is None:
        raise ConfigError(
            f"{folder / 'pyproject.toml'} has no [tool.flwr.app]. "
            "Name the folder of a Flower app with --app."
        )
    return FlowerApp(folder, _flatten(app.get("config", {}), str(folder / "pyproject.toml")))


def find_app(given: Path | None, candidates: Iterable[Path]) -> FlowerApp:
    """Return the given app, or the first candidate folder that holds one.

    Raises:
        ConfigError: the given folder holds no app, or no candidate does.
    """
    if given is not None:
        return load_app(given)
    tried = []
    for folder in candidates:
        try:
            return load_app(folder)
        except ConfigError:
            tried.append(str(folder))
    raise ConfigError(f"No Flower app in {' or '.join(tried)}. Name its folder with --app DIR.")


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
        overrides |= _read_toml(Path(item)) if item.endswith(".toml") else _parse_pairs(item)
    return overrides


def absolute_paths(overrides: Mapping[str, ConfigValue], base: Path) -> dict[str, ConfigValue]:
    """Resolve the paths among the overrides against `base`; empty ones stay empty."""
    return {key: _absolute(key, value, base) for key, value in overrides.items()}


def _absolute(key: str, value: ConfigValue, base: Path) -> ConfigValue:
    if not value:
        return value
    if key in PATH_KEYS:
        return str((base / expanded(str(value), ConfigError, key)).resolve())
    kind, colon, place = str(value).partition(":")
    if not colon or not place or kind not in PATHS_AFTER.get(key, ()):
        return value
    path = (base / expanded(place, ConfigError, key)).resolve()
    # What `hf` names is a data set of the hub, unless there is such a folder here.
    return value if kind == "hf" and not os.path.exists(path) else f"{kind}:{path}"


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


def _read_toml(path: Path) -> dict[str, ConfigValue]:
    try:
        table = tomllib.loads(
            expanded(path, ConfigError, "--run-config").read_text(encoding="utf-8")
        )
    except OSError as error:
        raise ConfigError(f"--run-config {path}: cannot read it ({error.strerror}).") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"--run-config {path} is not valid TOML: {error}.") from error
    return _flatten(table, str(path))


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
