"""What a node tells of itself before it may take part, and whether that can be true.

A summary comes from anyone. Every value that the server reads later is checked here, once, so that
none of them can end a run or be believed against all reason.
"""

import operator
import statistics
from collections.abc import Sequence
from reprlib import repr as shortened
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.completion.gating import ACCEPT_ALL
from fedmvp_flwr.config.section import kebab

_MOST = 2**53  # beyond it float64 does not tell one count from the next
_LARGEST_COSINE = 1.001  # rounded
_SHOWN = 80  # characters of a name

_Count = Annotated[int, Field(ge=0, lt=_MOST)]
_Text = Annotated[str, Field(max_length=4096)]
_Seconds = Annotated[float, Field(ge=0, lt=_MOST)]
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{1,128}$")]
_Modality = Annotated[str, Field(pattern=f"^({'|'.join(MODALITIES)})$")]


class Told(BaseModel):
    """JSON values that are checked as they are: no text becomes a number, no number a flag."""

    model_config = ConfigDict(
        strict=True, frozen=True, alias_generator=kebab, populate_by_name=True, allow_inf_nan=False
    )


class Completions(Told):
    """Counts of the completions of one modality."""

    made: _Count
    reused: _Count
    rejected: _Count


class Summary(Told):
    """A client in numbers, no content; what else a node tells is dropped.

    Attributes:
        partition_id: its key.
        name: what it is called, or empty.
        samples: its training samples.
        held_out: its held-out samples.
        complete: training samples with both modalities.
        trainable: those that it can train on.
        missing: holes by modality.
        labels: training samples by class.
        real: by modality, how many of them really have it, by class.
        completions: by modality.
        gate_threshold: of the quality gate, a cosine.
        widths: by modality, of tokens and pooled embedding.
        seconds: durations, that of `features` among them.
        models: spec, fingerprint and revision by setting.
        hashes: of split, masks and sample names.
    """

    partition_id: int
    name: _Text = ""
    samples: _Count
    held_out: _Count
    complete: _Count
    trainable: _Count
    missing: dict[_Modality, _Count]
    labels: list[_Count]
    real: dict[_Modality, list[_Count]]
    completions: dict[_Modality, Completions]
    gate_threshold: float = Field(ge=-_LARGEST_COSINE, le=_LARGEST_COSINE)
    widths: dict[_Modality, list[_Count]]
    seconds: dict[_Text, _Seconds]
    models: dict[_Text, dict[_Text, _Text | None]]
    hashes: dict[_Text, _Hash]

    @field_validator("seconds", "hashes")
    @classmethod
    def _has_what_is_read(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        needed = {"features"} if info.field_name == "seconds" else {"split", "mask", "keys"}
        if lacking := needed - value.keys():
            raise ValueError(f"{', '.join(sorted(lacking))} not among them")
        return value

    @model_validator(mode="after")
    def _parts_of_the_samples(self) -> "Summary":
        for name in ("complete", "trainable"):
            if getattr(self, name) > self.samples:
                raise ValueError(f"{name} is more than its {self.samples} samples")
        for name in MODALITIES:
            real = self.real.get(name, [])
            if len(real) != len(self.labels) or any(map(operator.gt, real, self.labels)):
                raise ValueError(f"real {name}s by class are not among its samples by class")
        return self

    def to_json(self) -> dict[str, Any]:
        """JSON values, which `read_summary` reads."""
        return self.model_dump(by_alias=True)


def read_summary(value: object) -> Summary:
    """Check what a node told.

    Args:
        value: any JSON value.

    Raises:
        ValueError: it cannot be; names the first field that is wrong, in few words.
    """
    try:
        return Summary.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))[:_SHOWN]
        wrong = "" if first["type"] == "missing" else f" {shortened(first['input'])}"
        raise ValueError(
            f"its summary does not fit ({name}{wrong if name else ''}: {first['msg']}): another "
            "version of the app, or another program"
        ) from None


def fallback_threshold(summaries: Sequence[Summary]) -> float:
    """The gate's threshold for clients without a complete pair: the median of the others'.

    Args:
        summaries: of the clients that are ready.

    Returns:
        A cosine; -1, which accepts everything, if no client has a pair.
    """
    own = [summary.gate_threshold for summary in summaries if summary.complete]
    return statistics.median(own or [ACCEPT_ALL])
