"""The numbers of a run for TensorBoard; needs the package `tensorboard`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ReportError

_SCORES = ("accuracy", "macro-f1", "accuracy-with-completion", "macro-f1-with-completion")


class TensorBoardSink:
    """Turns events into curves over the rounds: losses, weights, sizes, seconds and scores.

    Args:
        folder: of the event files.

    Raises:
        ReportError: the package `tensorboard` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder))

    def write(self, event: Mapping[str, Any]) -> None:
        """Add the numbers of a round or an evaluation; other events have none."""
        for tag, value in scalars(event).items():
            self._writer.add_scalar(tag, value, int(event["round"]))

    def close(self) -> None:
        """Close the files."""
        self._writer.close()


def scalars(event: Mapping[str, Any]) -> dict[str, float]:
    """Curve name and value of every number in an event that TensorBoard can show."""
    found: dict[str, Any] = {}
    if event.get("event") == "round":
        for group in ("train", "bytes", "seconds"):
            found |= {f"{group}/{name}": value for name, value in event.get(group, {}).items()}
        pairs = zip(event.get("clients", ()), event.get("weights", ()), strict=True)
        found |= {f"weight/client {client}": weight for client, weight in pairs}
        found["clients/averaged"] = len(event.get("clients", ()))
        found["clients/rejected"] = len(event.get("rejected", ()))
    elif event.get("event") == "evaluation":
        where = event.get("where", "server")
        for measure in _SCORES:
            for condition, value in event.get(measure, {}).items():
                found[f"{measure} ({where})/{condition}"] = value
    elif event.get("event") == "selection":
        found["selection/score"] = event.get("score")
    return {tag: float(value) for tag, value in found.items() if isinstance(value, int | float)}


def require_tensorboard() -> None:
    """Refuse to go on without the package.

    Raises:
        ReportError: the package `tensorboard` is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ReportError(
            "tensorboard=true needs the package tensorboard: pip install tensorboard, or set "
            "tensorboard=false."
        ) from error
