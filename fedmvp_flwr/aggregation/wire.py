"""Arrays on the wire: 16 bits per value, and a guard on the size of a message."""

from collections.abc import Mapping

import numpy as np
import torch
from flwr.app import Array, ArrayRecord
from torch import Tensor

from fedmvp_flwr.aggregation.options import WireDtype
from fedmvp_flwr.base.errors import ConfigError

# NumPy, which Flower serialises with, has no bfloat16: its 16 bits travel under this name.
_BF16_STYPE = "fedmvp.bfloat16"
_TORCH_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
_MEGABYTE = 1_000_000


def pack(state: Mapping[str, Tensor], wire_dtype: WireDtype) -> ArrayRecord:
    """Turn named tensors into a record; floating-point values get the wire's type.

    Args:
        state: parameters and buffers of any shape, 0-d included.
        wire_dtype: `fp16`, `bf16` or `fp32`. Integer tensors keep their type.

    Raises:
        ConfigError: a finite value overflows fp16.
    """
    record = {}
    for name, tensor in state.items():
        value = tensor.detach().cpu()
        sent = value.to(_TORCH_DTYPES[wire_dtype]) if value.is_floating_point() else value
        if wire_dtype == "fp16" and bool((torch.isinf(sent) & torch.isfinite(value)).any()):
            raise ConfigError(f"Array '{name}' overflows fp16; use wire-dtype='bf16' or 'fp32'.")
        record[name] = to_array(sent)
    return ArrayRecord(record)


def unpack(record: ArrayRecord) -> dict[str, Tensor]:
    """Return the named tensors of a record, floating-point ones as float32.

    Raises:
        ValueError: the bytes of an array do not fit its shape, or are in no known format.
    """
    tensors = {name: read(name, array) for name, array in record.items()}
    return {
        name: tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
        for name, tensor in tensors.items()
    }


def read(name: str, array: Array) -> Tensor:
    """Return an array in the type that travelled; `name` is for messages.

    Raises:
        ValueError: the bytes of the array do not fit its shape, or are in no known format.
    """
    try:
        if array.stype == _BF16_STYPE:
            bits = np.frombuffer(array.data, dtype=np.int16).reshape(array.shape)
            return torch.from_numpy(bits.copy()).view(torch.bfloat16)
        # A copy owns its memory and is writable.
        return torch.from_numpy(np.array(array.numpy()))
    except Exception as error:  # NumPy parses a header as Python: it may raise what that raises
        raise ValueError(f"array '{name}' cannot be read: {error}") from error


def fits(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether every value of a tensor is finite, and stays so in a type of the same kind."""
    if dtype.is_floating_point or dtype.is_complex:
        return bool(torch.isfinite(tensor.to(dtype)).all())
    if tensor.dtype == dtype or not tensor.numel():
        return True
    low, high = (0, 1) if dtype == torch.bool else (torch.iinfo(dtype).min, torch.iinfo(dtype).max)
    values = tensor.double()  # of unsigned types torch finds no minimum
    return low <= float(values.min()) and float(values.max()) <= high


def to_array(tensor: Tensor) -> Array:
    """Store a tensor of any type as it is."""
    value = tensor.detach().cpu()
    if value.dtype != torch.bfloat16:
        return Array(value.numpy())
    bits = value.contiguous().view(torch.int16).numpy()
    return Array("bfloat16", tuple(value.shape), _BF16_STYPE, bits.tobytes())


def as_received(array: Array, tensor: Tensor) -> Array:
    """Store a tensor in the format in which `array` came (used after averaging)."""
    if array.stype == _BF16_STYPE:
        return to_array(tensor.to(torch.bfloat16))
    value = tensor.detach().cpu().numpy()
    dtype = np.dtype(array.dtype)
    if np.issubdtype(dtype, np.integer) or dtype == np.bool_:
        value = np.rint(value)
    return Array(np.asarray(value, dtype=dtype))


def check_message_size(record: ArrayRecord, max_message_mb: float) -> int:
    """Return the bytes of a model message, or refuse one that is too large.

    Raises:
        ConfigError: more than `max_message_mb` megabytes.
    """
    size = record.count_bytes()
    if size > max_message_mb * _MEGABYTE:
        raise ConfigError(
            f"The model message has {size / _MEGABYTE:.2f} MB, more than "
            f"max-message-mb={max_message_mb}. Make the model smaller (model-width, "
            "model-layers), use wire-dtype='fp16', or raise max-message-mb."
        )
    return size
