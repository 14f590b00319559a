import json
import zlib

import pytest
import torch
from flwr.app import Array, ArrayRecord

from fedmvp_flwr.aggregation.compression import STYPE, unpacked_bytes, unwrap, wrap
from fedmvp_flwr.aggregation.wire import pack

WIRES = ("fp16", "bf16", "fp32")


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {
        "matrix": torch.randn(30, 40),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "transposed": torch.randn(4, 2).T,
        "count": torch.tensor(123456789012),
        "flags": torch.tensor([True, False]),
    }


def parcel(data):
    return ArrayRecord({"any": Array("uint8", (len(data),), STYPE, data)})


def with_header(entries):
    header = json.dumps(entries).encode()
    return zlib.compress(len(header).to_bytes(8, "little") + header + bytes(64))


@pytest.mark.parametrize("wire", WIRES)
def test_a_parcel_gives_back_every_bit(state, wire):
    record = pack(state, wire)
    back = unwrap(wrap(record))
    assert back.keys() == record.keys()
    for name, array in record.items():
        assert back[name].dtype == array.dtype
        assert tuple(back[name].shape) == tuple(array.shape)
        assert back[name].stype == array.stype
    named = {name: back[name] for name in record if name != "transposed"}
    assert all(named[name].data == record[name].data for name in named)
    assert torch.equal(*(torch.from_numpy(unwrapped(r, wire)) for r in (back, record)))


def unwrapped(record, wire):
    from fedmvp_flwr.aggregation.wire import unpack

    return unpack(record)["transposed"].numpy()


def test_the_same_arrays_make_the_same_parcel(state):
    one, other = (wrap(pack(state, "fp16")) for _ in range(2))
    assert one["parcel"].data == other["parcel"].data


def test_a_parcel_is_one_array_and_smaller_than_many():
    torch.manual_seed(0)
    record = pack({f"layer-{i}": torch.randn(64) for i in range(80)}, "fp16")
    wrapped = wrap(record)
    assert len(wrapped) == 1
    assert wrapped.count_bytes() < record.count_bytes()


def test_the_limit_leaves_room_for_what_is_wrapped(state):
    for wire in WIRES:
        record = pack(state, wire)
        assert unwrap(wrap(record), unpacked_bytes(record)).keys() == record.keys()


def test_named_arrays_pass_as_they_are(state):
    record = pack(state, "fp16")
    assert unwrap(record) is record
    assert unwrap(ArrayRecord()) == ArrayRecord()


BROKEN = {
    "garbage": b"garbage",
    "nothing": b"",
    "no safetensors": zlib.compress(b"something else"),
    "trailing half": zlib.compress(bytes(1000))[:-4],
    "10^12 values": with_header(
        {"w": {"dtype": "F16", "shape": [10**12], "data_offsets": [0, 2 * 10**12]}}
    ),
    "overlapping": with_header(
        {
            "a": {"dtype": "F16", "shape": [32], "data_offsets": [0, 64]},
            "b": {"dtype": "F16", "shape": [32], "data_offsets": [0, 64]},
        }
    ),
    "a type that NumPy lacks": with_header(
        {"w": {"dtype": "F8_E4M3", "shape": [64], "data_offsets": [0, 64]}}
    ),
    "a shape beyond 64 bits": with_header(
        {"w": {"dtype": "U8", "shape": [64, 2**62, 2**62, 0], "data_offsets": [0, 0]}}
    ),
    "unknown type": with_header({"w": {"dtype": "X9", "shape": [64], "data_offsets": [0, 64]}}),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_parcel_is_an_error(data):
    with pytest.raises(ValueError, match=r"cannot be read|cut off"):
        unwrap(parcel(data))


def test_a_bomb_is_not_unpacked():
    with pytest.raises(ValueError, match="more than 1000 bytes unpacked"):
        unwrap(parcel(zlib.compress(bytes(10_000_000))), 1000)
