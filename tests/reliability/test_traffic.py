"""What is counted of a node's traffic, and that its parts add up."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from reliability.traffic import Reading, between, read, trace_file

TRACE = Path(__file__).resolve().parents[2] / "reliability" / "trace" / "sitecustomize.py"


@pytest.fixture(scope="module")
def tracer():
    spec = importlib.util.spec_from_file_location("fedmvp_trace", TRACE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def federation(tmp_path):
    proxy = SimpleNamespace(sent=700, received=300, connections=2)
    return SimpleNamespace(
        root=tmp_path, specs={"node-0": SimpleNamespace(proxy=proxy, env={"OTHER": "kept"})}
    )


def test_a_request_is_counted_as_http_sends_it(tracer):
    def answer(request):
        headers = {"X-A": "b", "Content-Length": "5"}
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"12345"))

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        request = httpx.Request("POST", "https://h/v1/fleet/pull-messages", content=b"123")
        line = tracer.line_of(request, client.send(request))
    asked = b"POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n"
    said = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\n"
    assert line["call"] == "pull-messages"
    assert line["head"] == len(asked) + len(said)
    assert line["body"] == 3 + 5


def test_the_parts_between_two_readings_add_up(federation):
    first = read(federation)["node-0"]
    assert first == Reading(1000, 2, 0)
    lines = [{"call": "pull-object", "head": 100, "body": 300}] * 2
    lines.append({"call": "pull-messages", "head": 50, "body": 0})
    trace_file(federation, "node-0").write_text("".join(json.dumps(e) + "\n" for e in lines))
    proxy = federation.specs["node-0"].proxy
    proxy.sent, proxy.connections = 1800, 3
    found = between(federation, "node-0", first, read(federation)["node-0"])
    assert found == {
        "wire": 1100,
        "body": 600,
        "head": 250,
        "tls": 250,
        "connections": 1,
        "requests": {"pull-object": 2, "pull-messages": 1},
    }
