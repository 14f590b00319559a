from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr import cka_matrix, graph_importance
from fedmvp_flwr.aggregation.representations import ClientGraph, represent_all


def replies(*values):
    return [SimpleNamespace(client=i, record=value) for i, value in enumerate(values)]


def represent(record, probe):
    if record is None:
        raise IndexError("index out of range")
    return record * probe


def test_each_client_is_represented_in_its_place():
    probe = torch.ones(3, 2)
    graph, kept, rejected = represent_all(replies(1.0, 2.0), represent, probe)
    assert torch.equal(graph.representations, torch.stack([probe, 2 * probe]))
    assert [reply.client for reply in kept] == [0, 1]
    assert rejected == []


def test_a_client_whose_arrays_break_the_function_or_give_no_numbers_is_left_out():
    probe = torch.ones(3, 2)
    graph, kept, rejected = represent_all(replies(1.0, None, float("nan")), represent, probe)
    assert graph.representations.shape == (1, 3, 2)
    assert [reply.client for reply in kept] == [0]
    assert [(r.client, r.reason) for r in rejected] == [
        (1, "represent raised IndexError: index out of range"),
        (2, "its representation is not finite"),
    ]


def test_nobody_left():
    graph, kept, rejected = represent_all(replies(None), represent, torch.ones(3, 2))
    assert graph == ClientGraph()
    assert kept == []
    assert len(rejected) == 1


def test_a_function_that_gives_no_matrix_is_a_mistake_of_the_project():
    graph, _, _ = represent_all(replies(1.0), lambda record, probe: torch.ones(3), None)
    with pytest.raises(ValueError, match=r"shape \(K >= 1, m, d\), got \(1, 3\)"):
        graph.importance(1.0)
    with pytest.raises(RuntimeError, match="equal size"):
        represent_all(replies(1, 2), lambda record, probe: torch.ones(3, record), None)


def test_the_graph_of_some_clients_is_theirs_alone():
    reps = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(0))
    graph = ClientGraph(reps)
    assert graph.of([0, 1, 2, 3]) is graph
    some = graph.of([0, 3])
    assert torch.equal(some.similarity, cka_matrix(reps[[0, 3]]))
    assert some.importance(0.5) == graph_importance(reps[[0, 3]], 0.5).tolist()


def test_without_representations_nothing_is_compared():
    graph = ClientGraph().of([0, 1])
    assert graph.similarity is None
    assert graph.importance(1.0) is None
