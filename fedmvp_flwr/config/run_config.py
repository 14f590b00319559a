"""`RunConfig`: all sections as one, built once from Flower's flat run-config."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, model_validator

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.method import MethodSettings
from fedmvp_flwr.config.missing import MissingSettings
from fedmvp_flwr.config.models import FoundationSettings
from fedmvp_flwr.config.probe import ProbeSettings
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.config.section import kebab
from fedmvp_flwr.config.training import TrainingSettings


# pydantic takes the fields of the last base first: read this list, like the keys, from its end.
class RunConfig(
    ProbeSettings,
    CompletionSettings,
    FoundationSettings,
    TrainingSettings,
    MethodSettings,
    MissingSettings,
    DataSettings,
    RunSettings,
):
    """Every setting of a run; the field `num_server_rounds` is the key `num-server-rounds`."""

    @model_validator(mode="after")
    def _check_together(self) -> "RunConfig":
        if self.model_width % self.model_heads:
            raise ValueError(
                f"model-heads={self.model_heads} does not divide model-width={self.model_width}"
            )
        if self.probe_per_class == 1 and not self.probe_file:
            raise ValueError("probe-per-class=1 leaves too little to compare clients on; use >= 2")
        if self.early_stopping_patience and self.selection == "none":
            raise ValueError(
                f"early-stopping-patience={self.early_stopping_patience} needs a validation score: "
                "set selection='server' or selection='clients'"
            )
        if self.selection == "clients" and not self.fraction_evaluate:
            raise ValueError("selection='clients' needs clients that evaluate: fraction-evaluate>0")
        return self

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any]) -> "RunConfig":
        """Build the configuration from Flower's run-config.

        Args:
            run_config: kebab-case keys; a missing key takes its default.

        Raises:
            ConfigError: names every unknown key (with the nearest known one) and every bad value.
        """
        names = set(cls.keys())
        problems = [_unknown_key(key) for key in run_config if key not in names]
        known = {key: value for key, value in run_config.items() if key in names}
        try:
            config = cls.model_validate(known)
        except ValidationError as error:
            problems += [_describe(dict(item)) for item in error.errors()]
        if problems:
            text = "; ".join(problems)
            raise ConfigError(f"Wrong run-config: {text}" + ("" if text.endswith("?") else "."))
        return config

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The run-config keys, in the order of the documentation."""
        return tuple(kebab(name) for name in cls.model_fields)

    def to_run_config(self) -> dict[str, bool | int | float | str]:
        """Return the flat kebab-case mapping that `from_run_config` reads."""
        return self.model_dump(by_alias=True)

    @property
    def tunes_on_probe(self) -> bool:
        """Whether the server trains on the probe, with `auto` resolved by the method."""
        if self.probe_tuning != "auto":
            return self.probe_tuning == "on"
        return self.method == "fedmvp"

    @property
    def needs_probe(self) -> bool:
        """Whether the weights or the tuning need the probe."""
        graph = self.client_weighting in ("importance", "importance-examples")
        return graph or self.tunes_on_probe

    @property
    def generates_probe(self) -> bool:
        """Whether the image generator has to make the probe."""
        return self.needs_probe and not self.probe_file and self.probe_source == "generated"


def _unknown_key(key: str) -> str:
    near = difflib.get_close_matches(key, RunConfig.keys(), n=1)
    hint = f", did you mean '{near[0]}'?" if near else ""
    return f"unknown key '{key}'{hint}"


def _describe(item: dict[str, Any]) -> str:
    key = ".".join(kebab(str(part)) for part in item["loc"])
    if not key:
        return str(item["msg"]).removeprefix("Value error, ")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{key}={item['input']!r}: {message.lower()}"
