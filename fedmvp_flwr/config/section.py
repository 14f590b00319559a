"""What every section of the run-config has in common."""

from pydantic import BaseModel, ConfigDict

from fedmvp_flwr.base.nearest import did_you_mean


def kebab(name: str) -> str:
    """The run-config key of a field: `batch_size` is `batch-size`."""
    return name.replace("_", "-")


class Section(BaseModel):
    """Some of the settings of a run, frozen; the field `batch_size` is the key `batch-size`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=kebab,
        populate_by_name=True,
        str_strip_whitespace=True,
        allow_inf_nan=False,
    )

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The run-config keys, in the order of the fields."""
        return tuple(field.alias or kebab(name) for name, field in cls.model_fields.items())


def one_of(value: str, words: tuple[str, ...], prefixes: tuple[str, ...]) -> str:
    """Return a value that is one of the words or PREFIX:SOMETHING.

    Raises:
        ValueError: any other value; names what is allowed and the nearest of it.
    """
    prefix, colon, rest = value.partition(":")
    if value in words or (colon and prefix in prefixes and rest.strip()):
        return value
    allowed = ", ".join([*words, *(f"{prefix}:..." for prefix in prefixes)])
    raise ValueError(f"expected {allowed}{did_you_mean(prefix, [*words, *prefixes])}")
