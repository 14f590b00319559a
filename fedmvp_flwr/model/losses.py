"""The two representation losses of FedMVP (arXiv 2406.11048, section 3.2).

Both compare the joint vector of a sample with the vector of one of its modalities, and both
take a mask, because in this setting some samples lack the modality.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MCM_TEMPERATURE = 0.1  # the authors' value


def multimodal_contrastive_matching_loss(
    joint: Tensor,
    modality: Tensor,
    temperature: float = MCM_TEMPERATURE,
    mask: Tensor | None = None,
) -> Tensor:
    """MCM: NT-Xent between joint and modality vectors.

    The two vectors of a sample are a positive pair; every other one of the 2B - 1 vectors, of
    either kind, is a negative.

    Args:
        joint: (B, d) joint vectors; normalised here.
        modality: (B, d) vectors of one modality; normalised here.
        temperature: positive divisor of the cosine similarities.
        mask: (B,) bool, the samples that have the modality; None means all.

    Returns:
        Scalar mean over the 2B rows of the valid samples; 0 (with a gradient) where fewer than 2
        samples are valid.

    Raises:
        ValueError: shapes that do not fit, or a temperature that is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    joint, modality = _valid(joint, modality, mask)
    count = len(joint)
    if count < 2:
        return (joint.sum() + modality.sum()) * 0.0
    vectors = F.normalize(torch.cat([joint, modality]), dim=1)  # (2B, d)
    logits = vectors @ vectors.T / temperature
    itself = torch.eye(2 * count, dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(itself, -torch.inf)
    positive = torch.arange(2 * count, device=logits.device).roll(count)
    return F.cross_entropy(logits, positive)


def representation_aligned_margin_loss(
    joint: Tensor,
    modality: Tensor,
    joint_ce: Tensor,
    modality_ce: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """RAM: pull joint and modality vector together where the modality alone classifies better.

    Args:
        joint: (B, d) joint vectors.
        modality: (B, d) vectors of one modality.
        joint_ce: (B,) cross-entropy of each sample from its joint vector.
        modality_ce: (B,) cross-entropy of each sample from the modality's vector.
        mask: (B,) bool, the samples that have the modality; None means all.

    Returns:
        Scalar mean over the valid samples of 1[modality_ce < joint_ce] * ||joint - modality||;
        0 (with a gradient) where none is valid. The gradient is finite also where the two
        vectors are equal, and none flows through the gate.

    Raises:
        ValueError: shapes that do not fit.
    """
    for name, value in (("joint_ce", joint_ce), ("modality_ce", modality_ce)):
        if value.shape != joint.shape[:1]:
            raise ValueError(f"{name} must have shape (B,), got {tuple(value.shape)}.")
    gate = (modality_ce < joint_ce).detach()
    if mask is not None:
        _check_mask(joint, mask)
        gate = gate[mask]
    joint, modality = _valid(joint, modality, mask)
    if not len(joint):
        return (joint.sum() + modality.sum()) * 0.0
    # vector_norm has the subgradient 0 at 0; a square root of a sum of squares has NaN there.
    distance: Tensor = torch.linalg.vector_norm(joint - modality, dim=1)
    return (distance * gate).mean()


def _valid(joint: Tensor, modality: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if joint.ndim != 2 or joint.shape != modality.shape:
        raise ValueError(
            "joint and modality must have the same shape (B, d), got "
            f"{tuple(joint.shape)} and {tuple(modality.shape)}."
        )
    if mask is None:
        return joint, modality
    _check_mask(joint, mask)
    return joint[mask], modality[mask]


def _check_mask(joint: Tensor, mask: Tensor) -> None:
    if mask.dtype != torch.bool or mask.shape != joint.shape[:1]:
        raise ValueError(
            f"mask must be a bool tensor of shape (B,), got {mask.dtype} {tuple(mask.shape)}."
        )
