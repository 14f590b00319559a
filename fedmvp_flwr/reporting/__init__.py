"""One HTML page per run, from the files in its folder. Importing this loads no plotting library."""

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.reporting.html import write_report, write_report_if_available

__all__ = ["ReportError", "read_events", "write_report", "write_report_if_available"]
