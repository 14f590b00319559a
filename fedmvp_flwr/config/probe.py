"""Settings of the probe, the server's own samples."""

from typing import Literal

from pydantic import Field

from fedmvp_flwr.config.section import Section


class ProbeSettings(Section):
    """Where the probe comes from, and what the server does with it."""

    probe_source: Literal["generated", "public"] = Field(
        "generated",
        description="`generated`: the probe is generated from class descriptions, as in the paper. "
        "`public`: it is real pairs of the public split.",
    )
    probe_per_class: int = Field(8, ge=1, description="Synthetic probe samples per class.")
    probe_file: str = Field(
        "", description="Use this saved probe (.safetensors) instead of generating one."
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
