"""How long the graph importance takes: the linear-time form against the pairwise loop.

Command: python -m benchmarks.cka [--clients 10 100] [--samples 256] [--width 128]
Metric:  seconds of each (median of 3 in one run on one machine), their ratio, largest difference.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from fedmvp_flwr.aggregation.cka import graph_importance, linear_cka

_REPEATS = 3


def pairwise_importance(reps: Tensor) -> Tensor:
    """Row sums of the CKA matrix, pair by pair, as the paper's code does it."""
    rows = [sum(linear_cka(x, y) for y in reps) for x in reps]
    strength = torch.stack([torch.as_tensor(row) for row in rows])
    return strength / strength.sum()


def median_seconds(function: Callable[[], Tensor], repeats: int) -> float:
    """Median wall time of some calls, after one that warms up."""
    function()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def main() -> None:
    """Print one row per number of clients."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--width", type=int, default=128)
    arguments = parser.parse_args()
    print("| clients | linear (s) | pairwise (s) | ratio | largest difference |")
    print("|---|---|---|---|---|")
    for clients in arguments.clients:
        generator = torch.Generator().manual_seed(clients)
        reps = torch.randn(clients, arguments.samples, arguments.width, generator=generator)
        linear = median_seconds(lambda reps=reps: graph_importance(reps), _REPEATS)
        pairwise = median_seconds(lambda reps=reps: pairwise_importance(reps), 1)
        difference = float((graph_importance(reps) - pairwise_importance(reps)).abs().max())
        print(
            f"| {clients} | {linear:.3f} | {pairwise:.3f} | {pairwise / linear:.0f} "
            f"| {difference:.0e} |"
        )


if __name__ == "__main__":
    main()
