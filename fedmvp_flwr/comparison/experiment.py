"""What is to be compared: settings x methods x seeds, from an experiment file or a command line."""

import itertools
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.comparison.methods import METHODS, QUESTION
from fedmvp_flwr.config.section import kebab
from fedmvp_flwr.simulation.flower_app import ConfigValue

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9-]*)\}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")
_SEEDS = [0, 1, 2]
_CLIENTS = 10

Settings = Mapping[str, ConfigValue]


class ExperimentFile(BaseModel):
    """The tables of an experiment file.

    Attributes:
        settings: run-config keys of all runs; `{name}` in a value is a path from outside.
        grid: run-config keys with several values each: every combination is a cell of its own.
        methods: names of known methods, in the order of the tables.
        method: further methods by name, each with its run-config keys.
        seeds: of the runs of each method.
        num_clients: how many there are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=kebab)

    settings: dict[str, bool | int | float | str] = Field(default_factory=dict)
    grid: dict[str, list[bool | int | float | str]] = Field(default_factory=dict)
    methods: list[str] = Field(default_factory=list)
    method: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    seeds: list[int] = Field(default=_SEEDS)
    num_clients: int = Field(default=_CLIENTS, ge=2)


@dataclass(frozen=True)
class Cell:
    """One run of the comparison.

    Attributes:
        group: the values of the grid that it has, empty without a grid.
        method: its name.
        seed: its seed.
        settings: its run-config without folders.
    """

    group: str
    method: str
    seed: int
    settings: dict[str, ConfigValue]

    @property
    def name(self) -> str:
        """Its folder below that of the comparison."""
        parts = [_UNSAFE.sub("_", part) for part in (self.group, self.method) if part]
        return "/".join(["runs", *parts, f"seed-{self.seed}"])


@dataclass(frozen=True)
class Experiment:
    """Everything that is compared.

    Attributes:
        cells: one per run, those of one seed together.
        clients: of each run.
    """

    cells: list[Cell]
    clients: int

    @property
    def groups(self) -> list[str]:
        """The cells of the grid, in order."""
        return list(dict.fromkeys(cell.group for cell in self.cells))

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in order."""
        return list(dict.fromkeys(cell.method for cell in self.cells))


def read_experiment(path: Path) -> ExperimentFile:
    """Read an experiment file.

    Raises:
        ConfigError: it cannot be read, or has a table, key or type that it should not have.
    """
    path = expanded(path, ConfigError, "the experiment file")
    try:
        return ExperimentFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML ({error}).") from error
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, item['loc']))}: {_reason(item)}"
            for item in error.errors(include_url=False)
        ]
        raise ConfigError(f"{path}: {'; '.join(wrong)}.") from error


def plan(
    file: ExperimentFile,
    given: Settings,
    *,
    paths: Mapping[str, str],
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    clients: int | None = None,
) -> Experiment:
    """List all runs.

    Args:
        file: what the experiment file says.
        given: run-config keys of the command line; they win over the file, a method's own keys win
            over both.
        paths: what stands for `{name}` in a value; otherwise the environment says (FEDMVP_NAME).
        methods: instead of the file's.
        seeds: instead of the file's.
        clients: instead of the file's.

    Raises:
        ConfigError: an unknown method, or a path that is not given or leads nowhere.
    """
    own = {name: dict(settings) for name, settings in file.method.items()}
    known = {name: dict(method.settings) for name, method in METHODS.items()} | own
    names = list(methods or [*file.methods, *own] or QUESTION)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"unknown method '{unknown[0]}'{did_you_mean(unknown[0], known)}. There are "
            f"{', '.join(known)}."
        )
    groups = []
    for combination in itertools.product(*file.grid.values()):
        values = dict(zip(file.grid, combination, strict=True))
        groups.append((" ".join(f"{key}={value}" for key, value in values.items()), values))
    cells = [
        Cell(group, name, seed, _fill({**file.settings, **values, **given, **known[name]}, paths))
        for seed in (seeds or file.seeds)
        for group, values in groups
        for name in names
    ]
    return Experiment(cells, clients or file.num_clients)


def _fill(values: dict[str, Any], paths: Mapping[str, str]) -> dict[str, ConfigValue]:
    """Put the paths in the place of their `{name}`."""
    found = {name: _path(name, paths) for name in sorted(set(_wanted(values)))}
    for name, place in found.items():
        if place is None or not place.exists():
            raise ConfigError(
                f"No such path: {name} ({place or 'not given'}). Give it by --path {name}=PATH or "
                f"by the environment variable {_variable(name)}; the head of the experiment file "
                "says what it is."
            )
    return {
        key: _PLACEHOLDER.sub(lambda match: str(found[match[1]]), value)
        if isinstance(value, str)
        else value
        for key, value in values.items()
    }


def _wanted(values: Mapping[str, Any]) -> Iterator[str]:
    for value in values.values():
        if isinstance(value, str):
            yield from _PLACEHOLDER.findall(value)


def _path(name: str, paths: Mapping[str, str]) -> Path | None:
    text = paths.get(name) or os.environ.get(_variable(name), "")
    return Path(text).expanduser().absolute() if text else None


def _variable(name: str) -> str:
    return f"FEDMVP_{name.upper().replace('-', '_')}"


def _reason(item: Mapping[str, Any]) -> str:
    if item["type"] == "extra_forbidden":
        known = [kebab(name) for name in ExperimentFile.model_fields]
        return f"no such key{did_you_mean(str(item['loc'][-1]), known)}"
    return str(item["msg"]).lower()
