"""Images of whatever mode become RGB: 16-bit grey, floating point, palettes, alpha."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_SIXTEEN_BITS = 65535


def to_rgb(image: "Image") -> "Image":
    """Convert an image of any mode to RGB."""
    from PIL import Image

    if image.mode in _WIDE_MODES:
        values = np.asarray(image, dtype=np.float64)
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        if image.mode != "F" and low >= 0 and high <= _SIXTEEN_BITS:
            # Pillow opens some 16-bit files as "I"; one that stays within 8 bits is 8-bit.
            low, high = 0.0, float(_SIXTEEN_BITS if high > 255 or image.mode != "I" else 255)
        scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
        return Image.fromarray(scaled.round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")
