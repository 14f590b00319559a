"""Settings of the method: losses, and weights of the clients."""

from typing import Literal

from pydantic import Field, field_validator

from fedmvp_flwr.aggregation.weights import GRAPH_WEIGHTINGS, Weighting
from fedmvp_flwr.config.section import Section

Method = Literal["fedmvp", "fedavg", "server-only"]


class MethodSettings(Section):
    """FedMVP or a baseline, and how it weighs losses and clients."""

    name: Method = Field(
        "fedmvp",
        alias="method",
        description="`fedmvp`: all losses, CKA weights. `fedavg`: cross-entropy, example weights. "
        "`server-only`: no owner trains, the server learns from its labelled probe (a baseline).",
    )
    alpha: float = Field(0.01, ge=0, description="Weight of MCM, the contrastive loss (`fedmvp`).")
    beta: float = Field(0.1, ge=0, description="Weight of RAM, the margin loss (`fedmvp`).")
    temperature: float = Field(0.1, gt=0, description="Temperature of MCM.")
    auxiliary_weight: float = Field(
        0.1, ge=0, description="Weight of the cross-entropy on single-modality vectors (`fedmvp`)."
    )
    modality_dropout: float = Field(
        0.3, ge=0, lt=1, description="Chance that one modality of a pair is hidden in a step."
    )
    views: str = Field(
        "adaptive",
        description="What is shown of a pair with a generated half. `adaptive`: the real half, the "
        "generated half or both, by how often owners really have that modality of the class. "
        "`fixed:REAL,GENERATED`: chances of either half alone; `fixed:0.7,0` never shows a "
        "generated half alone.",
    )
    weighting: Literal["auto", Weighting] = Field(
        "auto",
        description="Weights of the clients; `auto`: importance (`fedmvp`), examples (`fedavg`).",
    )
    graph_temperature: float = Field(
        1.0,
        gt=0,
        description="Importance ** (1 / this): below 1 sharpens the graph, 1 is the paper's.",
    )

    @field_validator("views")
    @classmethod
    def _check_views(cls, value: str) -> str:
        if value != "adaptive":
            _fixed_views(value)
        return value

    @property
    def fixed_views(self) -> tuple[float, float] | None:
        """Chances of the real and of the generated half alone; None where they follow the data."""
        return None if self.views == "adaptive" else _fixed_views(self.views)

    @property
    def client_weighting(self) -> Weighting:
        """The weighting with `auto` resolved by the method."""
        if self.weighting != "auto":
            return self.weighting
        return "importance" if self.name == "fedmvp" else "examples"

    @property
    def uses_graph(self) -> bool:
        """Whether the weights of the clients come from the similarity graph."""
        return self.client_weighting in GRAPH_WEIGHTINGS


def _fixed_views(value: str) -> tuple[float, float]:
    name, _, rest = value.partition(":")
    try:
        real, generated = (float(share) for share in rest.split(","))
    except ValueError:
        name = ""
    if name != "fixed" or not (real >= 0 and generated >= 0 and real + generated <= 1):
        raise ValueError(
            "expected adaptive, or fixed:REAL,GENERATED with two shares whose sum is at most 1"
        )
    return real, generated
