"""What a model's folder says of itself: how it is to be called, how large its outputs are."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.json_files import json_object

CALL_FILE = "fedmvp.json"  # {"call": {...}}: the arguments that the model was made for
_WIDTHS = frozenset({"width", "hidden_size", "embed_dim", "projection_dim", "d_model"})
_WIDE = 1280  # ViT-H, MobileNet's last map
_DENOISERS = ("unet", "transformer")
_LARGEST_SCALE = 8  # pixels per latent of the usual autoencoders
_USUAL_SIDE = 1024


def declared_call(folder: Path) -> dict[str, Any]:
    """Return the arguments that the folder's `fedmvp.json` names, none without such a file.

    Raises:
        ModelError: the file is malformed.
    """
    path = folder / CALL_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["call"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path}: expected {{"call": {{...}}}} in JSON: {error!r}') from error


def declared_width(config: Path) -> int:
    """Return the largest width of a token or embedding that an encoder's main file tells.

    That of a wide encoder, where it tells none (timm's does not).
    """
    return max(_numbers(json_object(config)), default=_WIDE)


def declared_side(folder: Path) -> int:
    """Return how many pixels wide an image of a generator is at most, by what its folder says.

    Raises:
        ModelError: the folder's `fedmvp.json` is malformed.
    """
    call = declared_call(folder)
    sides = [call[name] for name in ("height", "width") if isinstance(call.get(name), int)]
    if not sides:
        for part in _DENOISERS:
            size = json_object(folder / part / "config.json").get("sample_size", 0)
            with suppress(TypeError, ValueError):
                sides.append(_LARGEST_SCALE * int(max(size) if isinstance(size, list) else size))
    return max(sides, default=0) or _USUAL_SIDE


def _numbers(value: object) -> list[int]:
    """The whole numbers that stand under the name of a width, at any depth of a JSON value."""
    if not isinstance(value, dict):
        return []
    own = [number for name, number in value.items() if name in _WIDTHS and isinstance(number, int)]
    return own + [number for inner in value.values() for number in _numbers(inner)]
