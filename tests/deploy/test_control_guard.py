import asyncio
import json

import pytest

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.deploy.control_guard import ControlGuard, networks_from

HERE = ("192.0.2.1", 8000)


def ask(path, client, networks=(), kind="http", server=HERE, own_address=False):
    """Status of the answer to a request; 200 if it went through."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    async def receive():
        return {}

    scope = {"type": kind, "path": path, "client": client, "server": server}
    asyncio.run(ControlGuard(app, networks, own_address=own_address)(scope, receive, send))
    if sent[0]["type"] == "websocket.close":
        return "closed"
    if sent[0]["status"] != 200:
        assert "own machine" in json.loads(sent[1]["body"])["detail"]
    return sent[0]["status"]


@pytest.mark.parametrize("path", ["/v1/fleet/pull-messages", "/health"])
def test_nodes_may_ask_from_anywhere(path):
    assert ask(path, ("198.51.100.7", 5)) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/control/start-run",
        "/v1/control/register-node",
        "/v1/runtime/x",
        "/docs",
        "/",
        "",
        "/v1/fleet/../control/start-run",
        "/v1/fleetcontrol",
        "/healthy",
        "/health/../v1/control/start-run",
        "/V1/FLEET/x",
    ],
)
def test_all_else_only_from_this_machine(path):
    assert ask(path, ("198.51.100.7", 5)) == 403
    assert ask(path, ("127.0.0.1", 5)) == 200
    assert ask(path, ("::1", 5)) == 200
    assert ask(path, ("::ffff:127.0.0.1", 5)) == 200
    own = ("192.0.2.1", 5)
    assert ask(path, own) == 403, "a port forwarder without rights shows strangers so"
    assert ask(path, own, own_address=True) == 200
    assert ask(path, ("198.51.100.7", 5), own_address=True) == 403


@pytest.mark.parametrize("client", [None, ("not an address", 5), ("", 0), ("192.0.2.10", 5)])
def test_unknown_ends_are_strangers(client):
    assert ask("/v1/control/start-run", client) == 403
    assert ask("/v1/control/start-run", client, server=None) == 403


def test_named_networks_are_trusted_as_well():
    networks = networks_from({"FEDMVP_CONTROL_FROM": "198.51.100.0/24, 203.0.113.9,"})
    assert ask("/v1/control/x", ("198.51.100.7", 5), networks) == 200
    assert ask("/v1/control/x", ("203.0.113.9", 5), networks) == 200
    assert ask("/v1/control/x", ("203.0.113.10", 5), networks) == 403
    assert networks_from({}) == ()
    with pytest.raises(ConfigError, match=r"got 'everyone'"):
        networks_from({"FEDMVP_CONTROL_FROM": "everyone"})


def test_a_websocket_is_closed_and_the_lifespan_passes():
    assert ask("/v1/control/x", ("198.51.100.7", 5), kind="websocket") == "closed"
    assert ask("", None, kind="lifespan") == 200


@pytest.mark.slow
def test_flowers_own_app_is_guarded(monkeypatch):
    """The app that Flower builds refuses strangers on every path but the nodes'."""
    from fastapi.testclient import TestClient
    from flwr.superlink import extensions
    from flwr.superlink.main import create_app

    from fedmvp_flwr.deploy.superlink import guard_control

    def status(method, path, client):
        with TestClient(create_app(), client=(client, 5), raise_server_exceptions=False) as asked:
            return asked.request(method, path).status_code

    monkeypatch.setenv("FLWR_DATABASE", ":flwr-in-memory:")
    known = create_app().openapi()["paths"]
    ours = [(next(iter(of)), path) for path, of in known.items()]
    control = [(method, path) for method, path in ours if path.startswith("/v1/control")]
    assert len(control) > 5
    assert status(*control[0], "198.51.100.7") != 403  # as Flower has it, it would answer
    monkeypatch.setattr(extensions, "get_middleware", extensions.get_middleware)
    guard_control({}, ["--host", "0.0.0.0", "--port", "8000"])
    for method, path in ours:
        refused = status(method, path, "198.51.100.7") == 403
        assert refused == (path != "/health" and not path.startswith("/v1/fleet/")), path
    assert status(*control[0], "127.0.0.1") != 403


@pytest.mark.parametrize(
    ("arguments", "trusted"),
    [
        (["--host", "192.0.2.1", "--port", "8000"], True),
        (["--host=192.0.2.1"], True),
        (["--host", "0.0.0.0"], False),
        (["--host", "::"], False),
        (["--database", "x"], False),
    ],
    ids=["one address", "with =", "all", "all of IPv6", "Flower's default"],
)
def test_its_own_address_is_trusted_where_it_listens_on_no_other(monkeypatch, arguments, trusted):
    from flwr.superlink import extensions

    from fedmvp_flwr.deploy.superlink import guard_control

    monkeypatch.setattr(extensions, "get_middleware", extensions.get_middleware)
    guard_control({}, arguments)
    assert extensions.get_middleware()[0].kwargs["own_address"] == trusted


def test_a_flower_that_takes_no_guard_is_not_started(monkeypatch):
    from flwr.superlink import extensions, main

    from fedmvp_flwr.deploy.superlink import guard_control

    monkeypatch.setattr(extensions, "get_middleware", extensions.get_middleware)
    monkeypatch.setattr(main, "_get_middleware", list)
    with pytest.raises(ConfigError, match="takes no guard"):
        guard_control({}, [])
