import logging

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from fedmvp_flwr.aggregation.nodes import IDENTITY_MESSAGE, NodeRegistry, register_identity
from fedmvp_flwr.base.errors import RoundError

CLIENTS = {901: 2, 17: 0, 450: 1}


@pytest.fixture
def warnings(caplog):
    logger = logging.getLogger("flwr")
    logger.addHandler(caplog.handler)
    yield lambda: [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("shuffle", [0, 1, 2])
def test_nodes_are_ordered_by_partition_whatever_their_ids(fake_grid, shuffle):
    registry = NodeRegistry()
    grid = fake_grid(CLIENTS, None, shuffle)
    assert registry.connected(grid, 2, 1.0) == [17, 450, 901]
    assert [registry.key(node) for node in (17, 450, 901)] == [0, 1, 2]


def test_each_node_is_asked_once(fake_grid, monkeypatch):
    grid = fake_grid(CLIENTS, None)
    sent = []
    monkeypatch.setattr(
        grid,
        "send_and_receive",
        lambda messages, **kw: (
            sent.extend(m.metadata.dst_node_id for m in messages)
            or fake_grid.send_and_receive(grid, messages, **kw)
        ),
    )
    registry = NodeRegistry()
    registry.connected(grid, 2, 1.0)
    registry.connected(grid, 2, 1.0)
    grid.clients[5] = 3
    assert registry.connected(grid, 2, 1.0) == [17, 450, 901, 5]
    assert sent == [17, 450, 901, 5]


def test_a_node_that_tells_nothing_is_known_by_its_id(fake_grid, warnings):
    registry = NodeRegistry()
    grid = fake_grid({10**9: None, 30: 1, 20: 0}, None)
    assert registry.connected(grid, 2, 1.0) == [20, 30, 10**9]
    assert registry.key(10**9) == 10**9
    assert any("not reproducible" in text for text in warnings())


def test_two_nodes_with_one_partition_are_told_apart(fake_grid, warnings):
    registry = NodeRegistry()
    nodes = registry.connected(fake_grid({800: 0, 700: 0, 600: 1}, None), 2, 1.0)
    assert len({registry.key(node) for node in nodes}) == 3
    assert any("partition-id 0, taken" in text for text in warnings())


def test_a_node_that_comes_back_under_another_id_keeps_its_partition(fake_grid, warnings):
    registry = NodeRegistry()
    grid = fake_grid(CLIENTS, None)
    registry.connected(grid, 2, 1.0)
    del grid.clients[901]
    grid.clients[902] = 2
    assert registry.connected(grid, 2, 1.0) == [17, 450, 902]
    assert registry.key(902) == 2
    assert warnings() == []


def test_too_few_nodes_within_the_time_are_an_error(fake_grid):
    with pytest.raises(RoundError, match="Only 3 of at least 4 nodes"):
        NodeRegistry().connected(fake_grid(CLIENTS, None), 4, 0.0)


def test_a_node_never_asked_is_known_by_its_id():
    assert NodeRegistry().key(77) == 77


@pytest.mark.parametrize(
    ("node_config", "expected"), [({"partition-id": 3, "num-partitions": 4}, 3), ({}, None)]
)
def test_a_client_app_tells_its_partition(node_config, expected):
    app = ClientApp()
    register_identity(app)
    context = Context(
        run_id=1, node_id=2, node_config=node_config, state=RecordDict(), run_config={}
    )
    reply = app(Message(RecordDict(), 2, IDENTITY_MESSAGE), context)
    (record,) = reply.content.config_records.values()
    assert record.get("partition-id") == expected


@pytest.mark.parametrize("value", ["3", 3.0, b"3"])
def test_a_partition_that_is_no_number_is_not_believed(fake_grid, answer, value):
    class Odd(fake_grid):
        def _identity(self, message, partition):
            return answer(message, identity=ConfigRecord({"partition-id": value}))

    registry = NodeRegistry()
    registry.connected(Odd(CLIENTS, None), 2, 1.0)
    assert registry.key(17) == 17


def test_errors_are_survived(fake_grid):
    class Broken(fake_grid):
        def _identity(self, message, partition):
            return Message(Error(code=1, reason="dead"), reply_to=message)

    assert NodeRegistry().connected(Broken(CLIENTS, None), 2, 1.0) == [17, 450, 901]


def test_a_silent_node_is_known_by_its_id_and_asked_again(fake_grid, warnings):
    class Slow(fake_grid):
        silent = True

        def send_and_receive(self, messages, *, timeout=None):
            replies = super().send_and_receive(messages, timeout=timeout)
            return [r for r in replies if not (self.silent and r.metadata.src_node_id == 450)]

    registry, grid = NodeRegistry(), Slow(CLIENTS, None)
    assert registry.connected(grid, 2, 1.0) == [17, 901, 450]
    assert any("450 did not answer in time" in text for text in warnings())
    grid.silent = False
    assert registry.connected(grid, 2, 1.0) == [17, 450, 901]


class Named:
    """Turns a fake grid's partitions into names where they are texts."""

    @staticmethod
    def grid(fake_grid, answer, clients):
        class Grid(fake_grid):
            def _identity(self, message, told):
                if not isinstance(told, str):
                    return super()._identity(message, told)
                return answer(message, identity=ConfigRecord({"name": told}))

        return Grid(clients, None)


def test_named_nodes_get_numbers_in_the_order_of_their_names(fake_grid, answer):
    registry = NodeRegistry()
    grid = Named.grid(fake_grid, answer, {5: "north", 9: "east", 7: "west"})
    assert registry.connected(grid, 2, 1.0) == [9, 5, 7]
    assert registry.names == {"east": 0, "north": 1, "west": 2}
    grid.clients[1] = "centre"
    registry.connected(grid, 2, 1.0)
    assert registry.key(1) == 3, "a node that comes later takes the next number"


def test_a_named_node_keeps_its_number_under_another_node_id_and_in_another_run(fake_grid, answer):
    registry = NodeRegistry({"west": 0, "north": 4})
    grid = Named.grid(fake_grid, answer, {5: "north", 9: "east", 7: "west"})
    registry.connected(grid, 2, 1.0)
    assert [registry.key(node) for node in (5, 9, 7)] == [4, 1, 0]
    del grid.clients[7]
    grid.clients[8] = "west"
    registry.connected(grid, 2, 1.0)
    assert registry.key(8) == 0


def test_names_and_partitions_do_not_collide(fake_grid, answer, warnings):
    registry = NodeRegistry()
    grid = Named.grid(fake_grid, answer, {5: "a", 9: 0, 7: "b", 3: 2, 4: "b"})
    registry.connected(grid, 2, 1.0)
    keys = [registry.key(node) for node in grid.clients]
    assert len(set(keys)) == 5
    assert (registry.key(9), registry.key(3)) == (0, 2)
    assert any("told name b, taken" in text for text in warnings())


def test_a_client_app_tells_its_name():
    app = ClientApp()
    register_identity(app)
    context = Context(1, 2, {"name": "north"}, RecordDict(), {})
    reply = app(Message(RecordDict(), 2, IDENTITY_MESSAGE), context)
    (record,) = reply.content.config_records.values()
    assert dict(record) == {"name": "north"}
