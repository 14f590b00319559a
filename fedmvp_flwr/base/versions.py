"""Versions of Python and of the libraries that decide about a result."""

import platform
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = (
    "flwr",
    "torch",
    "ray",
    "transformers",
    "diffusers",
    "open_clip_torch",
    "timm",
    "numpy",
)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide about a result."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
