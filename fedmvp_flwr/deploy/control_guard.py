"""Keeps strangers from steering a SuperLink: from other machines, nodes' requests alone are let in.

With node authentication on, Flower 1.41 still answers everyone who reaches its port on
`/v1/control`: start a run with any code, which every node then executes, register a node, stop a
run. It asks for an account only where an OpenID provider is set up. This guard, an ASGI middleware,
answers all but `/v1/fleet` and `/health` to the SuperLink's own machine only.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any

from fedmvp_flwr.base.errors import ConfigError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

OF_NODES, HEALTH = "/v1/fleet/", "/health"
SETTING = "FEDMVP_CONTROL_FROM"
_REFUSED = 403


def networks_from(env: Mapping[str, str]) -> tuple[Network, ...]:
    """Networks that may steer the SuperLink besides its own machine.

    Args:
        env: `FEDMVP_CONTROL_FROM` in it holds addresses or networks, separated by commas.

    Raises:
        ConfigError: one of them is neither.
    """
    found = []
    for part in filter(None, (word.strip() for word in env.get(SETTING, "").split(","))):
        try:
            found.append(ipaddress.ip_network(part, strict=False))
        except ValueError as error:
            raise ConfigError(
                f"{SETTING}: expected addresses or networks such as 10.1.2.0/24, separated by "
                f"commas; got '{part}'."
            ) from error
    return tuple(found)


class ControlGuard:
    """Answers 403 to requests from other machines that are none of a node's.

    Args:
        app: what answers all others.
        networks: other machines that may ask for everything.
        own_address: whether a request from the very address that it reaches is from this machine.
            Not so where the SuperLink listens on all addresses: what forwards a port into a
            container without rights (rootless Podman) shows strangers under the container's own.
    """

    def __init__(
        self, app: App, networks: Iterable[Network] = (), *, own_address: bool = False
    ) -> None:
        self._app = app
        self._networks = tuple(networks)
        self._own_address = own_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or self._is_of_node(scope) or self._is_trusted(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
            return
        said = (
            "Refused: runs and nodes are managed from the SuperLink's own machine only, and from "
            f"what {SETTING} of superlink.sh names."
        )
        body = json.dumps({"detail": said}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": _REFUSED, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @staticmethod
    def _is_of_node(scope: Scope) -> bool:
        path = str(scope.get("path", ""))
        # The router sees the path as it is here: what leads out of a prefix is no node's request.
        return path == HEALTH or (path.startswith(OF_NODES) and ".." not in path)

    def _is_trusted(self, scope: Scope) -> bool:
        client, server = _address(scope.get("client")), _address(scope.get("server"))
        if client is None:
            return False
        if client.is_loopback or (self._own_address and client == server):
            return True
        return any(client in network for network in self._networks)


def _address(end: tuple[str, int] | None) -> _Address | None:
    """The address of one end of a connection; None for what is no IP address."""
    try:
        address = ipaddress.ip_address(end[0].partition("%")[0]) if end else None
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
