"""FedMVP (arXiv 2406.11048) on Flower: federated image-text learning with missing modalities."""

from fedmvp_flwr.aggregation.cka import cka_matrix, graph_importance, linear_cka
from fedmvp_flwr.aggregation.strategy import FedMVP
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.model.losses import (
    multimodal_contrastive_matching_loss,
    representation_aligned_margin_loss,
)

__version__ = "0.1.0"

__all__ = [
    "FedMVP",
    "RunConfig",
    "cka_matrix",
    "graph_importance",
    "linear_cka",
    "multimodal_contrastive_matching_loss",
    "representation_aligned_margin_loss",
]
