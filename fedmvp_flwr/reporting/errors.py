"""The error of metrics that cannot be written or read, and of a report that cannot be made."""

from fedmvp_flwr.errors import FedMVPError


class ReportError(FedMVPError, RuntimeError):
    """Metrics cannot be written or read, or a report cannot be made of them."""
