"""Images of whatever mode become RGB: 16-bit grey, floating point, palettes, alpha."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_BITS = 65535
_BAND = 2**20  # values that are scaled at a time: in float64, a whole image takes a GB


def to_rgb(image: "Image") -> "Image":
    """Convert an image of any mode to RGB; one that is RGB is returned itself."""
    from PIL import Image

    if image.mode in _WIDE_MODES:
        return Image.fromarray(_eight_bits(np.asarray(image), image.mode)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[Any], mode: str) -> NDArray[np.uint8]:
    """Scale wide grey values (H, W), of Pillow's mode `mode`, to 0 ... 255."""
    rows = max(_BAND // values.shape[1], 1)
    bands = [slice(first, first + rows) for first in range(0, values.shape[0], rows)]
    low = min(float(_finite(values[band]).min()) for band in bands)
    high = max(float(_finite(values[band]).max()) for band in bands)
    if mode != "F" and low >= 0 and high <= _SIXTEEN_BITS:
        # Pillow opens some 16-bit files as "I"; one that stays within 8 bits is 8-bit.
        low, high = 0.0, float(_SIXTEEN_BITS if high > 255 or mode != "I" else 255)
    scaled = np.empty(values.shape, dtype=np.uint8)
    for band in bands:
        share = (_finite(values[band]) - low) / max(high - low, np.finfo(np.float64).tiny)
        scaled[band] = (share * 255).round()
    return scaled


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
