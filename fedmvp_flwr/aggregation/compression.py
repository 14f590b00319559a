"""Named arrays as one parcel: what a message carries is few objects, whatever the model.

Flower fetches and stores each array of a message, and each chunk of its bytes, with a signed HTTP
request of its own. Many small arrays therefore cost several times their own bytes, and most of the
time of a short round. A parcel is one array: the safetensors file of all of them, deflated.
"""

import zlib

from flwr.app import Array, ArrayRecord
from safetensors import SafetensorError
from safetensors.torch import load, save

from fedmvp_flwr.aggregation.wire import read, to_array

STYPE = "fedmvp.parcel"
_NAME = "parcel"
_DTYPE = "uint8"
_LEVEL = 1  # of zlib: higher ones save less than 1% of weights
_ENTRY = 256  # bytes of an array in the header of safetensors, its name aside, at most
# Of bytes of another origin; the last three for types and shapes that NumPy or torch do not know.
_UNREADABLE = (zlib.error, SafetensorError, KeyError, TypeError, RuntimeError)
_MOST = 1 << 30  # bytes of an unpacked parcel, where no other limit is known


def wrap(record: ArrayRecord) -> ArrayRecord:
    """Put the arrays of a record into one; `unwrap` gives them back, bit by bit.

    Raises:
        ValueError: an array cannot be read.
    """
    tensors = {name: read(name, array).contiguous() for name, array in record.items()}
    data = zlib.compress(save(tensors), _LEVEL)
    return ArrayRecord({_NAME: Array(_DTYPE, (len(data),), STYPE, data)})


def unwrap(record: ArrayRecord, most: int = _MOST) -> ArrayRecord:
    """The arrays in a parcel, ordered by name; any other record is returned as it is.

    Args:
        record: from `wrap`, or of named arrays. It may come from anyone.
        most: bytes that the unpacked parcel may have.

    Raises:
        ValueError: the parcel is damaged, or larger than `most`.
    """
    arrays = list(record.values())
    if len(arrays) != 1 or arrays[0].stype != STYPE:
        return record
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(arrays[0].data, most)
        if not unpacker.eof:
            raise ValueError(
                f"its parcel of arrays is cut off, or has more than {most} bytes unpacked"
            )
        tensors = load(data)
        return ArrayRecord({name: to_array(tensors[name]) for name in sorted(tensors)})
    except _UNREADABLE as error:
        raise ValueError(f"its parcel of arrays cannot be read: {error}") from error


def unpacked_bytes(record: ArrayRecord) -> int:
    """Bytes that the arrays of a record take in a parcel before it is deflated, at most."""
    return record.count_bytes() + sum(_ENTRY + len(name) for name in record)
