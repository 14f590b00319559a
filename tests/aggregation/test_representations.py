from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr.aggregation.representations import represent_all


def replies(*values):
    return [SimpleNamespace(client=i, record=value) for i, value in enumerate(values)]


def represent(record, probe):
    if record is None:
        raise IndexError("index out of range")
    return record * probe


def test_each_client_is_represented_in_its_place():
    probe = torch.ones(3, 2)
    reps, kept, rejected = represent_all(replies(1.0, 2.0), represent, probe)
    assert torch.equal(reps, torch.stack([probe, 2 * probe]))
    assert [reply.client for reply in kept] == [0, 1]
    assert rejected == []


def test_a_client_whose_arrays_break_the_function_or_give_no_numbers_is_left_out():
    probe = torch.ones(3, 2)
    reps, kept, rejected = represent_all(replies(1.0, None, float("nan")), represent, probe)
    assert reps.shape == (1, 3, 2)
    assert [reply.client for reply in kept] == [0]
    assert [(r.client, r.reason) for r in rejected] == [
        (1, "represent raised IndexError: index out of range"),
        (2, "its representation is not finite"),
    ]


def test_nobody_left():
    reps, kept, rejected = represent_all(replies(None), represent, torch.ones(3, 2))
    assert reps is None
    assert kept == []
    assert len(rejected) == 1


def test_a_function_that_gives_no_matrix_is_a_mistake_of_the_project():
    with pytest.raises(ValueError, match="expected"):
        represent_all(replies(1.0), lambda record, probe: torch.ones(3), None)
