"""Whether a node that is ready fits the run: the same frozen features, the same classes."""

from collections.abc import Mapping
from typing import Any

from fedmvp_flwr.protocol.summary import Summary

_ENCODERS = ("image-encoder", "text-encoder")
_SHOWN = 12  # characters of a fingerprint


def misfit(
    summary: Summary,
    widths: Mapping[str, list[int]],
    models: Mapping[str, Mapping[str, Any]],
    num_classes: int,
) -> str | None:
    """Why a node may not take part, or None.

    Args:
        summary: what the node tells.
        widths: of the server's own features, by modality.
        models: the server's frozen models, as `FoundationModels.identities` names them.
        num_classes: of the run.
    """
    theirs = summary.widths
    if theirs != widths:
        return (
            f"its frozen features have widths {theirs} (tokens, pooled), those of this run "
            f"{widths}: its frozen encoders are others"
        )
    others = []
    for name in _ENCODERS:
        own = models[name]["fingerprint"]
        told = summary.models.get(name, {}).get("fingerprint") or "none"
        if told != own:
            others.append(f"another {name} ({told[:_SHOWN]}, here {own[:_SHOWN]})")
    if others:
        return (
            f"it has {' and '.join(others)}, and all nodes need the same frozen encoders: compare "
            "the model folders (name, weights, tokenizer, library settings)"
        )
    if len(summary.labels) != num_classes:
        return f"it knows {len(summary.labels)} classes, this run has {num_classes}"
    return None
