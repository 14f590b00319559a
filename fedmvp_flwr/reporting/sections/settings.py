"""What is needed to repeat the run: configuration, versions, hashes."""

from dataclasses import dataclass
from typing import Any

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.text import DASH, Table

_EMPTY = "(empty)"


@dataclass(frozen=True)
class Settings:
    """Configuration, versions and hashes; a part is None where nothing is known about it."""

    config: Table | None
    changed: int  # keys that differ from their default
    versions: Table | None
    hashes: Table | None


def build(run: RunRecord) -> Settings:
    """Collect the settings."""
    defaults = RunConfig.from_run_config({}).to_run_config()
    changed = {key for key, value in run.config.items() if defaults.get(key, value) != value}
    rows = [
        [key, _show(run.config[key]), _show(defaults[key]) if key in changed else ""]
        for key in sorted(run.config, key=_documented_order)
    ]
    header = ["Key", "Value", "Default, where it differs"]
    return Settings(
        Table("Run-config", header, rows, numeric=False) if rows else None,
        len(changed),
        _pairs("Versions", ("Package", "Version"), run.versions),
        _pairs("Hashes (SHA-256)", ("Record", "Hash"), run.hashes),
    )


def _documented_order(key: str) -> tuple[int, str]:
    keys = RunConfig.keys()
    return (keys.index(key) if key in keys else len(keys), key)


def _pairs(caption: str, header: tuple[str, str], values: dict[str, Any]) -> Table | None:
    if not values:
        return None
    rows = [[str(key), _show(value)] for key, value in sorted(values.items())]
    return Table(caption, header, rows, numeric=False)


def _show(value: Any) -> str:  # noqa: ANN401 - a value of the run-config
    if value is None:
        return DASH
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or _EMPTY
