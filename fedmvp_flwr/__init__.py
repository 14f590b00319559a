"""FedMVP (arXiv 2406.11048) on Flower: federated image-text learning with missing modalities."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedmvp_flwr.aggregation.cka import cka_matrix, graph_importance, linear_cka
    from fedmvp_flwr.aggregation.nodes import register_identity
    from fedmvp_flwr.aggregation.observer import RoundObserver, RoundRecord
    from fedmvp_flwr.aggregation.options import RoundOptions
    from fedmvp_flwr.aggregation.strategy import FedMVP
    from fedmvp_flwr.aggregation.weights import distance_to_uniform
    from fedmvp_flwr.config import RunConfig
    from fedmvp_flwr.model.losses import (
        multimodal_contrastive_matching_loss,
        representation_aligned_margin_loss,
    )

__version__ = "0.1.0"

__all__ = [
    "FedMVP",
    "RoundObserver",
    "RoundOptions",
    "RoundRecord",
    "RunConfig",
    "cka_matrix",
    "distance_to_uniform",
    "graph_importance",
    "linear_cka",
    "multimodal_contrastive_matching_loss",
    "register_identity",
    "representation_aligned_margin_loss",
]

# Loaded at first use: `fedmvp --help` needs no torch.
_HOMES = {
    "FedMVP": "fedmvp_flwr.aggregation.strategy",
    "RoundObserver": "fedmvp_flwr.aggregation.observer",
    "RoundOptions": "fedmvp_flwr.aggregation.options",
    "RoundRecord": "fedmvp_flwr.aggregation.observer",
    "RunConfig": "fedmvp_flwr.config",
    "cka_matrix": "fedmvp_flwr.aggregation.cka",
    "distance_to_uniform": "fedmvp_flwr.aggregation.weights",
    "graph_importance": "fedmvp_flwr.aggregation.cka",
    "linear_cka": "fedmvp_flwr.aggregation.cka",
    "multimodal_contrastive_matching_loss": "fedmvp_flwr.model.losses",
    "register_identity": "fedmvp_flwr.aggregation.nodes",
    "representation_aligned_margin_loss": "fedmvp_flwr.model.losses",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module 'fedmvp_flwr' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
