"""All that is trained and travels: the joint encoder and its classifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.config.training import TrainingSettings
from fedmvp_flwr.model.dropout import Dropout
from fedmvp_flwr.model.joint_encoder import JointEncoder

_UNIT_VECTOR_GAIN = 10.0  # logits of unit vectors need a wide range to become confident


@dataclass(frozen=True)
class Output:
    """What the network says of a batch.

    Attributes:
        joint: (B, d) joint unit vectors z_J.
        logits: (B, C) class scores of the joint vectors.
        modality: (B, d) unit vectors z_m by modality; none where they were not wanted.
        modality_logits: (B, C) class scores of each modality alone, through the same head.
    """

    joint: Tensor
    logits: Tensor
    modality: dict[str, Tensor]
    modality_logits: dict[str, Tensor]


class Classifier(nn.Module):
    """Residual MLP and linear layer on unit vectors."""

    def __init__(self, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(width, width),
        )
        self.head = nn.Linear(width, num_classes)

    def forward(self, vectors: Tensor) -> Tensor:
        """Class scores (B, C) of unit vectors (B, d)."""
        logits: Tensor = self.head(_UNIT_VECTOR_GAIN * vectors + self.mlp(vectors))
        return logits


class FedMVPNetwork(nn.Module):
    """Joint encoder J, modality vectors and classifier (paper, section 3.2).

    Args:
        training: size and dropout.
        widths: of the frozen tokens and pooled embeddings by modality, see `Batch.widths`.
        num_classes: C >= 2.
    """

    def __init__(
        self, training: TrainingSettings, widths: Mapping[str, Sequence[int]], num_classes: int
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got {num_classes}.")
        self.num_classes = num_classes
        width, dropout = training.model_width, training.model_dropout
        layers, heads = training.model_layers, training.model_heads
        self.encoder = JointEncoder(widths, width, layers, heads, dropout)
        self.classifier = Classifier(width, num_classes, dropout)

    def forward(self, batch: Batch, *, modalities: bool = True) -> Output:
        """Vectors and scores of a batch, joint ones and, if wanted, of each modality alone."""
        joint = self.encoder(batch)
        modality = self.encoder.modality_vectors(batch) if modalities else {}
        vectors = torch.cat([joint, *modality.values()])
        logits, *alone = self.classifier(vectors).tensor_split(1 + len(modality))
        return Output(joint, logits, modality, dict(zip(modality, alone, strict=True)))

    def predict(self, batch: Batch) -> Tensor:
        """Class probabilities (B, C) from the joint vectors alone."""
        return F.softmax(self.classifier(self.encoder(batch)), dim=1)
