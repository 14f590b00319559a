"""Settings of the probe, the server's own samples."""

from typing import Literal

from pydantic import Field, field_validator

from fedmvp_flwr.config.section import Section, one_of


class ProbeSettings(Section):
    """Where the probe comes from, and what the server does with it."""

    probe_source: str = Field(
        "generated",
        description="`generated`: the probe is generated from class descriptions, as in the paper. "
        "`public`: it is real pairs of the public split. `file:PATH`: a saved one, "
        "`probe.safetensors` in the `out-dir` of a run, or one of `probes/*.safetensors` in the "
        "`cache-dir`.",
    )
    probe_per_class: int = Field(
        8,
        ge=1,
        description="Synthetic probe samples per class; with `probe-source='public'` at most so "
        "many real pairs of each class.",
    )
    probe_tuning: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether the server trains the averaged model on the probe after each round; "
        "`auto`: with `fedmvp`.",
    )
    probe_tuning_epochs: int = Field(1, ge=1, description="Epochs over the probe in a round.")
    probe_tuning_rate: float = Field(
        0.25, gt=0, description="Learning rate on the probe, as a share of the round's."
    )

    @field_validator("probe_source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        return one_of(value, ("generated", "public"), ("file",))

    @property
    def file(self) -> str:
        """The saved probe, or empty."""
        kind, _, path = self.probe_source.partition(":")
        return path if kind == "file" else ""
