"""What every section of the run-config has in common."""

from pydantic import BaseModel, ConfigDict


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
