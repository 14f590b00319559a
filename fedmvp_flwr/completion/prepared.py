"""What preparation hands to training and evaluation: real features, completions, similarities."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from fedmvp_flwr.base.features import Batch, ModalityBatch


@dataclass(frozen=True)
class PreparedSet:
    """N samples as frozen features, what is real and what was completed kept apart.

    Attributes:
        keys: the samples' keys.
        real: features of what is really there.
        completed: by modality, present where a completion was asked for; all flagged `generated`.
        similarity: by modality (N,), image-text cosine of the completion with the modality that it
            was made from, as the gate's encoders see it; for retrieval without a common space how
            usual the neighbour's distance is; NaN where there is none, or no way to compare.
        pair_similarity: (N,) the same of the real pairs; NaN where a sample is not complete.
        made: by modality, samples whose completion was made now.
        reused: by modality, samples whose completion was in the store.
        seconds: wall time of "completion" and of "features", model loading included.
    """

    keys: tuple[str, ...]
    real: Batch
    completed: dict[str, ModalityBatch]
    similarity: dict[str, Tensor]
    pair_similarity: Tensor
    made: dict[str, int]
    reused: dict[str, int]
    seconds: dict[str, float]

    def __len__(self) -> int:
        return len(self.keys)

    def batch(
        self,
        accepted: Mapping[str, Tensor] | None = None,
        hidden: Mapping[str, Tensor] | None = None,
    ) -> Batch:
        """Return the real features with their holes filled by accepted completions.

        Args:
            accepted: by modality (N,) bool; a modality that is not named accepts all.
            hidden: by modality (N,) bool, real modalities to hide before the holes are filled, for
                example every text, to see images completed by generated texts.
        """
        real = self.real.hide(hidden or {})
        modalities = {}
        for name, there in real.modalities.items():
            made = self.completed[name]
            take = made.present & ~there.present
            if accepted is not None and name in accepted:
                take = take & accepted[name]
            modalities[name] = _fill(there, made, take)
        return Batch(modalities, real.labels)


def _fill(there: ModalityBatch, made: ModalityBatch, take: Tensor) -> ModalityBatch:
    """Replace the rows `take` (N,) of one batch by those of another."""
    if not take.any():
        return there
    length = max(there.mask.shape[1], made.mask.shape[1])
    there, made = _lengthen(there, length), _lengthen(made, length)

    def choose(ours: Tensor, theirs: Tensor) -> Tensor:
        rows = take.reshape(-1, *[1] * (ours.dim() - 1))
        return torch.where(rows, theirs, ours)

    return ModalityBatch(*map(choose, vars(there).values(), vars(made).values()))


def _lengthen(batch: ModalityBatch, length: int) -> ModalityBatch:
    """Pad the token axis (N, T, D) with absent tokens."""
    extra = length - batch.mask.shape[1]
    return replace(
        batch, tokens=pad(batch.tokens, (0, 0, 0, extra)), mask=pad(batch.mask, (0, extra))
    )
