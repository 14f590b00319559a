"""What a run leaves in its folder while it goes on: events, sizes, durations, and its end."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from logging import INFO, WARNING
from typing import Any, TypeVar

from flwr.common.logger import log

from fedmvp_flwr.aggregation.observer import RoundRecord
from fedmvp_flwr.aggregation.replies import Rejection
from fedmvp_flwr.base.files import write_json
from fedmvp_flwr.base.jsonl import JsonlSink, read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.versions import versions
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.reporting import write_report_if_available
from fedmvp_flwr.reporting.tensorboard import TensorBoardSink
from fedmvp_flwr.server.resume import RunState

_T = TypeVar("_T")


class Journal:
    """Writes `metrics.jsonl` and `result.json`.

    Args:
        config: the run's settings.
        out: folder of the results; events that it holds already stay.
        before: where the run goes on with an earlier one, what that one has used up.
    """

    def __init__(self, config: RunConfig, out: RunFolder, before: RunState | None = None) -> None:
        self.config = config
        self.out = out
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = dict(before.bytes) if before else {}
        self._before = dict(before.seconds) if before else {}
        self._open: dict[str, float] = {}
        self._began = time.monotonic()
        self._sinks: list[JsonlSink | TensorBoardSink] = [JsonlSink(out.metrics)]
        if config.run.tensorboard:
            self._sinks.append(_curves(out))

    def event(self, name: str, values: Mapping[str, Any]) -> None:
        """Append one event."""
        for sink in self._sinks:
            sink.write({"event": name, **values})

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Tell of the start and the end of a part of the run, and take its time."""
        self.event("phase", {"name": name, "status": "start"})
        self._open[name] = time.monotonic()
        yield
        seconds = time.monotonic() - self._open.pop(name)
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.event("phase", {"name": name, "status": "end", "seconds": seconds})

    def round(self, record: RoundRecord) -> None:
        """Tell of a round of training."""
        # The largest of all rounds: arrays are deflated, so their bytes differ a little.
        for name, size in (("upload", record.bytes_up), ("download", record.bytes_down)):
            key = f"{name}-per-client-round"
            self.bytes[key] = max(size, self.bytes.get(key, 0))
        metrics = {k: v for k, v in record.metrics.items() if k != "num-examples"}
        self.event(
            "round",
            {
                "round": record.server_round,
                "clients": record.clients,
                "weights": record.weights,
                "importance": record.importance,
                "similarity": record.similarity,
                "train": {"loss": metrics.pop("total", None), **metrics},
                "bytes": {"up": record.bytes_up, "down": record.bytes_down},
                "seconds": record.seconds,
                "rejected": named(record.rejected),
            },
        )

    def all_seconds(self) -> dict[str, float]:
        """Durations so far, those of the interrupted run and of the phase under way included."""
        now = time.monotonic()
        current = {**self.seconds, "total": now - self._began}
        for name, began in self._open.items():
            current[name] = current.get(name, 0.0) + now - began
        return {
            name: current.get(name, 0.0) + self._before.get(name, 0.0)
            for name in sorted(current.keys() | self._before.keys())
        }

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result and, where it can be drawn, the report."""
        self.event("run-end", {"status": "completed"})
        self._write_result("completed", {**result, "bytes": self.bytes})
        # The run is completed from here on, whatever becomes of its pictures.
        self._close()
        report = _try("the report", lambda: write_report_if_available(self.out.path))
        log(INFO, "Results: %s, report: %s", self.out.path, report or "none (extra 'report')")

    def fail(self, error: Exception) -> None:
        """Say why the run failed, with a report of what there is.

        Each step is tried, also after one that fails (full disk), and none raises: the run's own
        error is what the user must see.
        """
        reason = {"reason": str(error)}
        _try("the last event", lambda: self.event("run-end", {"status": "failed", **reason}))
        _try("the result", lambda: self._write_result("failed", reason))
        self._close()
        _try("the report", lambda: write_report_if_available(self.out.path))

    def _close(self) -> None:
        for sink in self._sinks:
            _try("the end of the metrics", sink.close)

    def _write_result(self, status: str, values: Mapping[str, Any]) -> None:
        common = {
            "status": status,
            "config": self.config.to_run_config(),
            "versions": versions(),
            "seconds": self.all_seconds(),
        }
        write_json(self.out.result, common | dict(values))


def named(rejected: Iterable[Rejection]) -> list[dict[str, Any]]:
    """Rejected replies as JSON: each client, and why."""
    return [asdict(item) for item in rejected]


def _curves(out: RunFolder) -> TensorBoardSink:
    """TensorBoard's curves, drawn anew up to now: rounds that are run again would appear twice."""
    for path in out.curve_files():
        path.unlink(missing_ok=True)
    sink = TensorBoardSink(out.curves)
    for event in read_events(out.metrics):
        sink.write(event)
    return sink


def _try(what: str, step: Callable[[], _T]) -> _T | None:
    """Do what must not stop or hide anything else; the log says if it fails."""
    try:
        return step()
    except Exception as error:
        log(WARNING, "Could not write %s: %s", what, error)
        return None
