from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr.aggregation.averaging import require_finite, weighted_average
from fedmvp_flwr.aggregation.wire import pack, unpack
from fedmvp_flwr.base.errors import RoundError


def replies(toy, wires):
    return [
        SimpleNamespace(tensors=unpack(pack(toy.state(p), wire))) for p, wire in enumerate(wires)
    ]


@pytest.mark.parametrize("wire", ["fp32", "bf16", "fp16"])
def test_the_average_is_taken_in_float64_and_has_the_types_of_the_global_model(toy, wire):
    given = replies(toy, [wire, "fp32", "fp16"])
    reference = pack({n: torch.zeros_like(t) for n, t in toy.state(0).items()}, wire)
    average = weighted_average(given, [0.5, 0.3, 0.2], reference)
    terms = zip(given, [0.5, 0.3, 0.2], strict=True)
    expected = pack({"w": sum(w * r.tensors["w"].double() for r, w in terms)}, wire)["w"]
    assert average["w"].data == expected.data
    assert list(average) == list(reference)
    for name, array in average.items():
        assert (array.dtype, array.stype) == (reference[name].dtype, reference[name].stype)


def test_integers_are_rounded(toy):
    average = weighted_average(replies(toy, ["fp32"] * 2), [0.25, 0.75], pack(toy.state(0), "fp32"))
    assert int(unpack(average)["count"]) == round(0.25 * 10 + 0.75 * 11)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_is_not_finite_is_refused_by_name(toy, value):
    require_finite(pack(toy.state(0), "fp32"), "It")
    state = {**toy.state(0), "scale": torch.tensor(value)}
    with pytest.raises(RoundError, match="It has values that are not finite in array 'scale'"):
        require_finite(pack(state, "fp32"), "It")
