"""Settings of the method: losses, and weights of the clients."""

from typing import Literal

from pydantic import Field

from fedmvp_flwr.aggregation.weights import GRAPH_WEIGHTINGS, Weighting
from fedmvp_flwr.config.section import Section

Method = Literal["fedmvp", "fedavg"]


class MethodSettings(Section):
    """FedMVP or a baseline, and how it weighs losses and clients."""

    name: Method = Field(
        "fedmvp",
        alias="method",
        description="`fedmvp`: all losses, CKA weights. `fedavg`: cross-entropy, example weights.",
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
    generated_dropout: float = Field(
        0.7, ge=0, lt=1, description="Chance that a generated modality is hidden in a step."
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
