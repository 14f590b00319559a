"""`RunConfig`: the settings of a run, a section for each subject, built once from flat keys."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.config.method import MethodSettings
from fedmvp_flwr.config.missing import MissingSettings
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.config.probe import ProbeSettings
from fedmvp_flwr.config.replaced import REPLACED
from fedmvp_flwr.config.run import RunSettings
from fedmvp_flwr.config.section import Section, kebab
from fedmvp_flwr.config.training import TrainingSettings


class RunConfig(BaseModel):
    """Every setting of a run.

    Outside it is Flower's flat run-config: each field of a section is one key, whose name no other
    section has. A function takes the section that it reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: RunSettings
    data: DataSettings
    missing: MissingSettings
    method: MethodSettings
    training: TrainingSettings
    models: ModelSettings
    completion: CompletionSettings
    probe: ProbeSettings

    @classmethod
    def of(cls, **settings: Any) -> "RunConfig":  # noqa: ANN401 - values of any key
        """Build it from keywords: the keys with `_` for `-`; what is not named has its default.

        Raises:
            ConfigError: as for `from_run_config`.
        """
        return cls.from_run_config({kebab(name): value for name, value in settings.items()})

    @classmethod
    def from_run_config(cls, run_config: Mapping[str, Any]) -> "RunConfig":
        """Build the configuration from Flower's run-config.

        Args:
            run_config: kebab-case keys; a missing key takes its default.

        Raises:
            ConfigError: names every unknown key (with the nearest known one) and every bad value.
        """
        known = cls.keys()
        problems = [
            _unknown_key(key, value, known) for key, value in run_config.items() if key not in known
        ]
        sections: dict[str, Section] = {}
        for name, section in _sections():
            own = section.keys()
            given = {key: value for key, value in run_config.items() if key in own}
            try:
                sections[name] = section.model_validate(given)
            except ValidationError as error:
                problems += [_describe(dict(item)) for item in error.errors()]
        if problems:
            raise ConfigError(f"Wrong run-config: {'; '.join(problems)}.")
        return cls.model_validate(sections)

    def changed(self, **settings: Any) -> "RunConfig":  # noqa: ANN401 - values of any key
        """The same with some settings changed, which are named as in `of`."""
        changes = {kebab(name): value for name, value in settings.items()}
        return self.from_run_config(self.to_run_config() | changes)

    @classmethod
    def fields(cls) -> Iterator[tuple[str, FieldInfo]]:
        """Every key with its field, in the order of the documentation."""
        for _, section in _sections():
            yield from zip(section.keys(), section.model_fields.values(), strict=True)

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The run-config keys, in the order of the documentation."""
        return tuple(key for key, _ in cls.fields())

    def to_run_config(self) -> dict[str, bool | int | float | str]:
        """Return the flat kebab-case mapping that `from_run_config` reads."""
        flat: dict[str, bool | int | float | str] = {}
        for name, _ in _sections():
            flat |= getattr(self, name).model_dump(by_alias=True)
        return flat

    @property
    def tunes_on_probe(self) -> bool:
        """Whether the server trains on the probe, with `auto` resolved by the method."""
        if self.method.name == "server-only" or self.probe.probe_tuning == "auto":
            return self.method.name != "fedavg"
        return self.probe.probe_tuning == "on"

    @property
    def needs_probe(self) -> bool:
        """Whether the weights or the tuning need the probe."""
        return self.method.uses_graph or self.tunes_on_probe

    @property
    def generates_probe(self) -> bool:
        """Whether the image generator has to make the probe."""
        return self.needs_probe and self.probe.probe_source == "generated"


def _sections() -> Iterator[tuple[str, type[Section]]]:
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            yield name, section


def _unknown_key(key: str, value: object, known: tuple[str, ...]) -> str:
    if key in REPLACED:
        return f"key '{key}' is gone: {REPLACED[key].format(value=value)}"
    return f"unknown key '{key}'{did_you_mean(key, known)}"


def _describe(item: dict[str, Any]) -> str:
    key = ".".join(kebab(str(part)) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{key}={item['input']!r}: {message.lower()}" if key else message
