"""The values that travel between the rooms: frozen features, one batch of them, their flags.

Missingness is data: every modality carries `present` (there is something to look at, real or
generated) and `generated` (a frozen model made it), never zeros as a hidden code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import MODALITIES


@dataclass(frozen=True)
class ModalityFeatures:
    """Frozen features of one sample's modality.

    Attributes:
        tokens: (T, D) token embeddings, any T >= 1.
        pooled: (P,) embedding of the whole.
    """

    tokens: Tensor
    pooled: Tensor


@dataclass(frozen=True)
class ModalityBatch:
    """One modality of N samples, padded to the longest token sequence.

    Attributes:
        tokens: (N, T, D) token embeddings, zero where padded or absent.
        mask: (N, T) bool, True at valid tokens; all False for an absent modality.
        pooled: (N, P) pooled embeddings, zero where absent.
        present: (N,) bool, something is there: real, or a completion that passed the gate.
        generated: (N,) bool, what is there was made by a frozen model.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    present: Tensor
    generated: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.present)

    def map(self, function: Callable[[Tensor], Tensor]) -> "ModalityBatch":
        """Apply one function to every tensor."""
        return ModalityBatch(*map(function, vars(self).values()))

    def tensors(self, prefix: str) -> dict[str, Tensor]:
        """Every tensor by its name behind a prefix."""
        return {f"{prefix}{name}": tensor for name, tensor in vars(self).items()}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], prefix: str) -> Self:
        """The inverse of `tensors`.

        Raises:
            KeyError: one is not there.
        """
        return cls(*(tensors[f"{prefix}{field.name}"] for field in fields(cls)))

    def trim(self) -> "ModalityBatch":
        """Cut the token axis at the last valid token of any sample; one column always stays."""
        used = self.mask.any(dim=0).nonzero()
        length = int(used[-1]) + 1 if len(used) else 1
        return replace(self, tokens=self.tokens[:, :length], mask=self.mask[:, :length])

    def hide(self, hidden: Tensor) -> "ModalityBatch":
        """Mark the modality as absent for the samples where `hidden` (N,) is True."""
        keep = ~hidden
        return replace(
            self,
            mask=self.mask & keep[:, None],
            present=self.present & keep,
            generated=self.generated & keep,
        )


@dataclass(frozen=True)
class Batch:
    """N samples: their modalities in sorted order, and their labels (N,) int64."""

    modalities: dict[str, ModalityBatch]
    labels: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    @property
    def widths(self) -> dict[str, list[int]]:
        """By modality: width of the tokens and of the pooled embedding."""
        return {n: [m.tokens.shape[2], m.pooled.shape[1]] for n, m in self.modalities.items()}

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Every tensor by modality and name, and the labels, each behind a prefix."""
        found = {f"{prefix}labels": self.labels}
        for name, m in self.modalities.items():
            found |= m.tensors(f"{prefix}{name}.")
        return found

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor], prefix: str = "") -> Self:
        """The inverse of `tensors`, for a batch of all modalities.

        Raises:
            KeyError: one is not there.
        """
        modalities = {n: ModalityBatch.of_tensors(tensors, f"{prefix}{n}.") for n in MODALITIES}
        return cls(modalities, tensors[f"{prefix}labels"])

    def select(self, index: Tensor) -> "Batch":
        """Return the samples at `index` (any torch index of the first axis)."""
        return Batch(
            {name: m.map(lambda t: t[index]) for name, m in self.modalities.items()},
            self.labels[index],
        )

    def trim(self) -> "Batch":
        """Cut the padding that no sample of the batch needs; what a model computes stays."""
        return Batch({name: m.trim() for name, m in self.modalities.items()}, self.labels)

    def to(self, device: torch.device | str) -> "Batch":
        """Move every tensor; floating-point features become float32 for computing."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, torch.float32 if tensor.is_floating_point() else None)

        return Batch(
            {name: m.map(move) for name, m in self.modalities.items()}, self.labels.to(device)
        )

    def hide(self, hidden: Mapping[str, Tensor]) -> "Batch":
        """Return a batch with the given modalities hidden where their (N,) flags are True."""
        modalities = {
            name: m.hide(hidden[name]) if name in hidden else m
            for name, m in self.modalities.items()
        }
        return Batch(modalities, self.labels)


def stack_modality(
    features: Sequence[ModalityFeatures | None],
    generated: Sequence[bool],
    token_width: int,
    pooled_width: int,
) -> ModalityBatch:
    """Pad the features of N samples (None = absent) to one batch of float16 tensors.

    Args:
        features: one entry per sample.
        generated: whether a frozen model made the entry's content.
        token_width: D, which an empty batch could not tell.
        pooled_width: P.

    Raises:
        DataError: an entry's widths differ from D and P, or it has no token.
    """
    count = len(features)
    longest = max((len(f.tokens) for f in features if f is not None), default=1)
    tokens = torch.zeros(count, longest, token_width, dtype=torch.float16)
    mask = torch.zeros(count, longest, dtype=torch.bool)
    pooled = torch.zeros(count, pooled_width, dtype=torch.float16)
    for row, item in enumerate(features):
        if item is None:
            continue
        length = len(item.tokens)
        if (
            not length
            or item.tokens.shape[1:] != (token_width,)
            or len(item.pooled) != pooled_width
        ):
            raise DataError(
                f"Features of sample {row} have tokens {tuple(item.tokens.shape)} and pooled "
                f"{tuple(item.pooled.shape)}; expected (T >= 1, {token_width}) and "
                f"({pooled_width},). All clients must use the same frozen encoders."
            )
        tokens[row, :length] = item.tokens
        mask[row, :length] = True
        pooled[row] = item.pooled
    present = torch.tensor([f is not None for f in features], dtype=torch.bool)
    flags = torch.tensor(list(generated), dtype=torch.bool) & present
    return ModalityBatch(tokens, mask, pooled, present, flags)
