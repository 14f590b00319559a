"""The settings of the round protocol."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WireDtype = Literal["fp16", "bf16", "fp32"]


@dataclass(frozen=True)
class RoundOptions:
    """How the rounds of a run go, whatever the strategy makes of the replies.

    Attributes:
        evaluate_every: ask the clients to evaluate each so many rounds, and after the last.
        min_replies: valid replies that a round needs, at least 1.
        round_retries: how often a round with fewer is repeated, with newly chosen clients.
        node_timeout: seconds to wait for enough connected nodes.
        checkpoint_dir: folder of a checkpoint per round; None saves nothing.
        compress: send the arrays to the clients as one (`fedmvp_flwr.aggregation.compression`),
            which costs far fewer requests; the clients have to unwrap it. Replies may come either
            way.

    Raises:
        ValueError: a number of replies or retries that cannot be.
    """

    evaluate_every: int = 1
    min_replies: int = 1
    round_retries: int = 0
    node_timeout: float = 600.0
    checkpoint_dir: Path | None = None
    compress: bool = False

    def __post_init__(self) -> None:
        if self.min_replies < 1 or self.round_retries < 0:
            raise ValueError(
                "min_replies must be at least 1 and round_retries at least 0, got "
                f"{self.min_replies} and {self.round_retries}."
            )


def is_evaluated(server_round: int, evaluate_every: int, last_round: int) -> bool:
    """Whether the model is evaluated after a round: each so many rounds, and after the last."""
    return server_round % evaluate_every == 0 or server_round == last_round
