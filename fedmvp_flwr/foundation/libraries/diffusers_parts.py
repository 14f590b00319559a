"""Whether every part of a loaded diffusers pipeline got its weights from the folder.

A pipeline does not tell what its parts lacked; their libraries fill it with random numbers.
"""

from pathlib import Path
from typing import Any

import torch

from fedmvp_flwr.foundation.folders.weight_files import tensor_names
from fedmvp_flwr.foundation.libraries.transformers_model import require_whole


def require_whole_parts(pipeline: Any, folder: Path) -> None:  # noqa: ANN401 - an untyped library's object
    """Refuse a pipeline of which a part lacks weights.

    Args:
        pipeline: as it was loaded, not yet moved elsewhere.
        folder: where it comes from.

    Raises:
        ModelError: names the part's folder and the first missing weights.
    """
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and _lacks_names(part, folder / name):
            require_whole(folder / name, part, _missing(part, folder / name))


def _lacks_names(part: torch.nn.Module, place: Path) -> bool:
    """Whether the files do not hold all weights by the names that the part has for them."""
    tied: dict[str, str] = getattr(part, "all_tied_weights_keys", None) or {}
    stored = tensor_names(place)
    needed = {name for name in part.state_dict() if name not in tied}
    return not needed <= stored or any(
        target not in stored and source not in stored for target, source in tied.items()
    )


def _missing(part: Any, place: Path) -> set[str]:  # noqa: ANN401 - an untyped library's object
    """What the part's library misses when it loads it alone.

    It takes a second load, but only the library knows by which other names it finds the weights
    of older checkpoints, and which of several files it takes.
    """
    _, info = type(part).from_pretrained(
        place,
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        dtype=part.dtype,
    )
    return set(info["missing_keys"])
