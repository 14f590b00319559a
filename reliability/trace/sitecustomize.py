"""Lets a SuperNode write down what it asks the SuperLink; Python imports this file by its name.

Only processes with this folder on PYTHONPATH see it, and only `FEDMVP_TRACE` switches it on: the
file that takes a JSON line per request, with the bytes of heads and bodies in both directions.
TLS is not in them: the proxy's count less these is TLS.
"""

import json
import os
import sys
import time
from typing import Any

_PROGRAMS = ("flower-supernode", "fedmvp_flwr.deploy.supernode")
_FLEET = "/v1/fleet/"  # requests to the SuperLink, unlike those within the node
_LINE_END = 2  # bytes
_SEPARATOR = 2  # bytes between name and value of a header


def head_bytes(first_line: str, headers: Any) -> int:
    """Bytes of the head of an HTTP/1.1 message."""
    lines = (len(name) + _SEPARATOR + len(value) + _LINE_END for name, value in headers.raw)
    return len(first_line) + _LINE_END + sum(lines) + _LINE_END


def line_of(request: Any, response: Any) -> dict[str, Any]:
    """What is written of a request."""
    asked = f"{request.method} {request.url.raw_path.decode()} HTTP/1.1"
    said = f"{response.http_version} {response.status_code} {response.reason_phrase}"
    return {
        "time": time.time(),
        "call": request.url.path.removeprefix(_FLEET),
        "head": head_bytes(asked, request.headers) + head_bytes(said, response.headers),
        "body": len(request.content) + response.num_bytes_downloaded,
    }


def install(path: str) -> None:
    """Write a line to `path` for each request that the process sends to the SuperLink."""
    import httpx

    send = httpx.Client.send
    file = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - until the process ends

    def traced(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        response = send(client, request, **options)
        if request.url.path.startswith(_FLEET):
            file.write(json.dumps(line_of(request, response)) + "\n")
        return response

    httpx.Client.send = traced  # type: ignore[method-assign]


_IS_NODE = any(name in word for name in _PROGRAMS for word in sys.orig_argv[:3])
if os.environ.get("FEDMVP_TRACE") and _IS_NODE:
    install(os.environ["FEDMVP_TRACE"])
