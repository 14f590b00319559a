"""Makes the ClientApp of one SuperNode misbehave; Python imports this file by its name at start-up.

Only processes with this folder on PYTHONPATH see it. `FEDMVP_ROGUE` says what happens in which
round, `1:nan 2:garbage`, `FEDMVP_ROGUE_PREPARE` what is wrong with its answers when it is asked to
prepare, `text lie`, one after the other. The product itself holds no such code.
"""

import json
import os
import signal
import sys
import time
from importlib.abc import MetaPathFinder
from typing import Any

_MODULE = "client_app.app"
_NODE_PROGRAMS = ("flower-supernode", "fedmvp_flwr.deploy.supernode")
_PUSH, _CONFIRM = "/v1/fleet/push-messages", "/v1/fleet/confirm-message-received"
_FLAG, _ANSWER = "send-twice", "sent-twice"  # files in the node's cache
_HOLD, _HELD = "hold", "held"  # files in the folder that FEDMVP_ROGUE_HOLD names
_HELD_AT_MOST = 120.0  # seconds
_ASKED = "asked"  # file in the node's cache: a letter for each `prepare`
_DEEP = 100_000  # levels of nested lists
_SCORE = 7.0  # of an accuracy, which is at most 1
_CLAIM = 10**12  # values that an array claims to have
_LARGE = 1e30  # a value of float32 that float16 lacks
_HUGE = 50_000_000  # bytes that it really has


def act(fault: str, message: Any, reply: Any) -> Any:
    """The reply as the fault makes it."""
    import zlib

    import numpy as np
    from flwr.app import Array, ArrayRecord, MetricRecord

    from fedmvp_flwr.aggregation.compression import STYPE, unwrap, wrap

    arrays = unwrap(reply.content.array_records["arrays"])
    name = next(iter(arrays))
    shape = tuple(arrays[name].shape)
    if fault == "nan":
        arrays[name] = Array(np.full(shape, np.nan, dtype=np.float16))
    elif fault == "overflow":
        arrays[name] = Array(np.full(shape, _LARGE, dtype=np.float32))
    elif fault == "huge":
        arrays[name] = Array(np.frombuffer(os.urandom(_HUGE), dtype=np.uint8))
    elif fault == "keys":
        arrays = ArrayRecord({key: arrays[key] for key in list(arrays)[1:]})
    parcel = wrap(arrays)["parcel"].data
    if fault == "garbage":
        parcel = os.urandom(4096)
    elif fault == "bomb":
        parcel = zlib.compress(bytes(_HUGE))
    elif fault == "claim":
        entry = {"dtype": "F16", "shape": [_CLAIM], "data_offsets": [0, 2 * _CLAIM]}
        header = json.dumps({name: entry}).encode()
        parcel = zlib.compress(len(header).to_bytes(8, "little") + header + bytes(64))
    if fault == "header":
        good = Array(np.zeros(shape, dtype=np.float16))
        data = good.data.replace(b"}", b"(")  # NumPy parses the header as Python
        arrays[name] = Array(good.dtype, good.shape, good.stype, data)
    else:
        arrays = ArrayRecord({"parcel": Array("uint8", (len(parcel),), STYPE, parcel)})
    reply.content.array_records["arrays"] = arrays
    if fault == "weight":
        metrics = reply.content.metric_records["metrics"]
        reply.content.metric_records["metrics"] = MetricRecord({**metrics, "num-examples": -5})
    elif fault == "late":
        time.sleep(float(os.environ["FEDMVP_ROGUE_SLEEP"]))
    return reply


def spoil_scores(reply: Any) -> Any:
    """An evaluation's reply with accuracies that no model can have."""
    from flwr.app import MetricRecord

    metrics = reply.content.metric_records["metrics"]
    wrong = {key: _SCORE for key in metrics if key.startswith("accuracy")}
    reply.content.metric_records["metrics"] = MetricRecord({**metrics, **wrong})
    return reply


def spoil_summary(fault: str, reply: Any) -> Any:
    """An answer to `prepare` that cannot be true, or cannot be read."""
    from flwr.app import ConfigRecord

    record = dict(reply.content.config_records["prepared"])
    summary = json.loads(str(record["summary"]))
    if fault == "lie":
        summary["samples"] = _CLAIM * _CLAIM
    elif fault == "nan":
        summary["trainable"] = float("nan")
    elif fault == "large":
        summary["name"] = "x" * _HUGE
    text = json.dumps(summary)
    if fault == "text":
        text = text[: len(text) // 2]
    elif fault == "deep":
        text = "[" * _DEEP
    reply.content.config_records["prepared"] = ConfigRecord({**record, "summary": text})
    return reply


def next_preparation() -> str:
    """What is wrong with this answer to `prepare`; nothing once all have had their turn."""
    faults = os.environ.get("FEDMVP_ROGUE_PREPARE", "").split()
    os.makedirs(os.environ["FEDMVP_CACHE"], exist_ok=True)
    path = os.path.join(os.environ["FEDMVP_CACHE"], _ASKED)
    with open(path, "a+", encoding="utf-8") as file:
        file.seek(0)
        asked = len(file.read())
        file.write("x")
    return faults[asked] if asked < len(faults) else ""


def install_twice(cache: str) -> None:
    """Let a SuperNode send the next reply twice, whenever its ClientApp has left the flag."""
    import httpx

    send = httpx.Client.send

    def repeated(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        response = send(client, request, **options)
        flag = os.path.join(cache, _FLAG)
        if request.url.path == _PUSH and os.path.exists(flag):
            os.unlink(flag)
            status = send(client, request, **options).status_code
            with open(os.path.join(cache, _ANSWER), "w", encoding="utf-8") as file:
                file.write(str(status))
        return response

    httpx.Client.send = repeated  # type: ignore[method-assign]


def install_hold(folder: str) -> None:
    """Let a SuperNode confirm no message while the file `hold` is there."""
    import httpx

    send = httpx.Client.send

    def held(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        deadline = time.monotonic() + _HELD_AT_MOST
        while request.url.path == _CONFIRM and os.path.exists(os.path.join(folder, _HOLD)):
            with open(os.path.join(folder, _HELD), "w", encoding="utf-8"):
                pass
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return send(client, request, **options)

    httpx.Client.send = held  # type: ignore[method-assign]


def before(fault: str) -> None:
    """What happens before the real ClientApp is called."""
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault == "raise":
        raise RuntimeError("a bug in the ClientApp")
    elif fault == "twice":
        with open(os.path.join(os.environ["FEDMVP_CACHE"], _FLAG), "w", encoding="utf-8"):
            pass
    elif fault in ("damaged-prepared", "damaged-store"):
        from pathlib import Path

        cache = Path(os.environ["FEDMVP_CACHE"])
        pattern = "prepared/*.safetensors" if fault == "damaged-prepared" else "**/*"
        for path in cache.glob(pattern):
            if path.suffix in (".safetensors", ".sqlite"):
                with path.open("r+b") as file:
                    file.seek(path.stat().st_size // 2)
                    file.write(os.urandom(2048))


def patch(module: Any) -> None:
    """Wrap the ClientApp of the module."""
    from flwr.clientapp import ClientApp

    plan = dict(item.split(":") for item in os.environ.get("FEDMVP_ROGUE", "").split())
    evaluation = os.environ.get("FEDMVP_ROGUE_EVALUATION", "")
    original = module.app

    class Rogue(ClientApp):
        def __call__(self, message: Any, context: Any) -> Any:
            kind = message.metadata.message_type
            if kind == "query.prepare":
                fault = next_preparation()
                before(fault)
                reply = original(message, context)
                return spoil_summary(fault, reply) if fault else reply
            if kind not in ("train", "evaluate"):
                return original(message, context)
            number = str(message.content.config_records["config"]["server-round"])
            if kind == "evaluate":
                reply = original(message, context)
                return spoil_scores(reply) if number == evaluation else reply
            fault = plan.get(number, "")
            before(fault)
            return act(fault, message, original(message, context))

    module.app = Rogue()


class _Finder(MetaPathFinder):
    """Lets the real import happen, then patches."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def run(module: Any) -> None:
            execute(module)
            patch(module)

        spec.loader.exec_module = run  # type: ignore[method-assign]
        return spec


_IS_NODE = any(name in word for name in _NODE_PROGRAMS for word in sys.orig_argv[:3])
if os.environ.get("FEDMVP_ROGUE") or os.environ.get("FEDMVP_ROGUE_PREPARE"):
    sys.meta_path.insert(0, _Finder())
    if _IS_NODE:
        install_twice(os.environ["FEDMVP_CACHE"])
if os.environ.get("FEDMVP_ROGUE_HOLD") and _IS_NODE:
    install_hold(os.environ["FEDMVP_ROGUE_HOLD"])
