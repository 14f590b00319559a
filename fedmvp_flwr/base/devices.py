"""The device that a run computes on."""

import torch

from fedmvp_flwr.base.errors import ConfigError

_TYPES = ("cpu", "cuda")
_UNKNOWN = "device='{}' is none of auto, cpu, cuda, cuda:N."


def resolve_device(name: str) -> torch.device:
    """Turn the run-config key `device` into a torch device that exists here.

    Raises:
        ConfigError: not a device, or a CUDA device on a machine that has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(_UNKNOWN.format(name)) from error
    if device.type not in _TYPES:
        raise ConfigError(_UNKNOWN.format(name))
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device='{name}' but torch sees {torch.cuda.device_count()} CUDA device(s) here. "
            "Use device='auto' or 'cpu'."
        )
    return device
