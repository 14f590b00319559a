"""Metrics as JSON Lines, and one HTML page per run. Importing this loads no plotting library."""

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import JsonlSink, read_events
from fedmvp_flwr.reporting.html import write_report, write_report_if_available
from fedmvp_flwr.reporting.sinks import MetricsSink, MultiSink

__all__ = [
    "JsonlSink",
    "MetricsSink",
    "MultiSink",
    "ReportError",
    "read_events",
    "write_report",
    "write_report_if_available",
]
