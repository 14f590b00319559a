import io

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord

from fedmvp_flwr.aggregation.wire import as_received, check_message_size, fits, pack, unpack
from fedmvp_flwr.base.errors import ConfigError

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {
        "matrix": torch.randn(3, 4),
        "scalar": torch.tensor(1.5),
        "empty": torch.zeros(0, 3),
        "transposed": torch.randn(4, 2).T,
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "count": torch.tensor(123456789012),
        "flags": torch.tensor([True, False]),
        "double": torch.randn(2, dtype=torch.float64),
    }


def numpy_bytes(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("wire", DTYPES)
def test_a_round_trip_rounds_to_the_type_of_the_wire(state, wire):
    record = pack(state, wire)
    back = unpack(record)
    assert list(back) == list(state)
    for name, tensor in state.items():
        expected = tensor.detach()
        if tensor.is_floating_point():
            expected = expected.to(DTYPES[wire]).float()
        assert back[name].dtype == expected.dtype
        assert back[name].shape == expected.shape
        assert torch.equal(back[name], expected)
        assert tuple(record[name].shape) == tuple(tensor.shape)


@pytest.mark.parametrize(("wire", "size"), [("fp16", 2), ("bf16", 2), ("fp32", 4)])
def test_bytes_per_value(wire, size):
    small = pack({"a": torch.zeros(1000)}, wire).count_bytes()
    large = pack({"a": torch.zeros(3000)}, wire).count_bytes()
    assert large - small == 2000 * size


def test_what_is_unpacked_can_be_written_to(state):
    for wire in DTYPES:
        for tensor in unpack(pack(state, wire)).values():
            tensor.zero_()


@pytest.mark.parametrize("wire", DTYPES)
def test_batch_norm_buffers_survive(wire):
    source = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    source(torch.randn(8, 3))
    target = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    target.load_state_dict(unpack(pack(source.state_dict(), wire)))
    assert int(target[1].num_batches_tracked) == 1
    torch.testing.assert_close(target[1].running_mean, source[1].running_mean, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("wire", DTYPES)
def test_values_that_are_not_finite_arrive_as_they_are(wire):
    values = torch.tensor([float("nan"), float("inf"), -float("inf")])
    back = unpack(pack({"a": values}, wire))["a"]
    assert torch.equal(back.isnan(), values.isnan())
    assert torch.equal(back[1:], values[1:])


def test_overflow_of_fp16_is_refused_by_name():
    with pytest.raises(ConfigError, match="'weight' overflows fp16"):
        pack({"weight": torch.tensor([1.0, 1e5])}, "fp16")
    assert float(unpack(pack({"weight": torch.tensor(1e5)}, "bf16"))["weight"]) > 9e4


def with_header(header):
    """An .npy file with a header of one's own: NumPy parses it as Python."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        b"PK\x03\x04 an archive that is none",
        numpy_bytes(np.zeros(2))[:-3],
        numpy_bytes(np.array(["a", "b"])),
        numpy_bytes(np.zeros(2, dtype=">f4")),
        numpy_bytes(np.zeros(2)).replace(b"(2,)", b"(9999999999999999,)"),
        numpy_bytes(np.zeros(2)).replace(b"}", b"("),
        with_header(b"if 1:\n    a\n  b\n"),
        with_header(b"(" * 5000),
    ],
    ids=[
        *("nothing", "garbage", "archive", "truncated", "texts", "foreign-order", "absurd-length"),
        *("open-bracket", "indentation", "many-brackets"),
    ],
)
def test_damaged_arrays_are_a_value_error(data):
    record = ArrayRecord({"a": Array("float32", (2,), "numpy.ndarray", data)})
    with pytest.raises(ValueError, match="array 'a' cannot be read"):
        unpack(record)


def test_an_archive_of_arrays_is_a_value_error():
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(2))
    record = ArrayRecord({"a": Array("float32", (2,), "numpy.ndarray", stream.getvalue())})
    with pytest.raises(ValueError, match="array 'a' cannot be read"):
        unpack(record)


def test_pickled_objects_are_never_opened():
    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    record = ArrayRecord({"a": Array("object", (1,), "numpy.ndarray", stream.getvalue())})
    with pytest.raises(ValueError, match="array 'a' cannot be read"):
        unpack(record)


@pytest.mark.parametrize("keep", [0, 3, 8])
def test_damaged_bf16_arrays_are_a_value_error(keep):
    good = pack({"a": torch.ones(2, 3)}, "bf16")["a"]
    record = ArrayRecord({"a": Array(good.dtype, good.shape, good.stype, good.data[:keep])})
    with pytest.raises(ValueError, match="array 'a' cannot be read"):
        unpack(record)


@pytest.mark.parametrize("wire", DTYPES)
def test_an_average_is_stored_in_the_type_of_its_template(state, wire):
    template = pack(state, wire)
    for name, tensor in unpack(template).items():
        again = as_received(template[name], tensor.double())
        assert (again.dtype, tuple(again.shape), again.stype) == (
            template[name].dtype,
            tuple(template[name].shape),
            template[name].stype,
        )
        assert torch.equal(unpack(ArrayRecord({name: again}))[name], tensor)


def test_averaged_integers_are_rounded_not_cut():
    template = Array(np.array([0, 0], dtype=np.int64))
    stored = as_received(template, torch.tensor([2.6, -1.7], dtype=torch.float64))
    assert stored.numpy().tolist() == [3, -2]


def test_the_guard_lets_small_messages_pass_and_says_what_to_do_about_large_ones():
    record = pack({"a": torch.zeros(1000)}, "fp32")
    assert check_message_size(record, 1.0) == record.count_bytes()
    with pytest.raises(ConfigError, match=r"max-message-mb=0\.001"):
        check_message_size(record, 0.001)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (torch.tensor([65504.0]), torch.float16, True),
        (torch.tensor([1e30]), torch.float16, False),
        (torch.tensor([1e30]), torch.bfloat16, True),
        (torch.tensor([1e300], dtype=torch.float64), torch.float32, False),
        (torch.tensor([float("nan")]), torch.float32, False),
        (torch.tensor([2**40]), torch.int64, True),
        (torch.tensor([2**40]), torch.int32, False),
        (torch.tensor([-1]), torch.uint8, False),
        (torch.tensor([1, 0]), torch.bool, True),
        (torch.tensor([2]), torch.bool, False),
        (torch.zeros(0, dtype=torch.int64), torch.uint8, True),
    ],
    ids=str,
)
def test_what_fits_a_type(values, dtype, expected):
    assert fits(values, dtype) is expected
