"""Draw the chart of the README from a comparison.

Command: python docs/results_chart.py runs/flora-owner/table.json docs/results.png
"""

import json
import statistics
import sys
from pathlib import Path

from fedmvp_flwr.comparison.methods import METHODS

CONDITIONS = {"complete": "#0072b2", "image-only": "#d55e00", "text-only": "#00845f"}
BAR = 0.26


def main(table: Path, out: Path) -> None:
    """Draw mean accuracy by method and condition, with the spread over the seeds."""
    from matplotlib.figure import Figure

    found = json.loads(table.read_text(encoding="utf-8"))["methods"]
    methods = {name: found[name] for name in METHODS if name in found}
    figure = Figure(figsize=(8, 4.6), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    for place, (condition, colour) in enumerate(CONDITIONS.items()):
        scores = [[100 * v for v in m["accuracy"][condition]] for m in methods.values()]
        axes.barh(
            [row + (place - 1) * BAR for row in range(len(methods))],
            [statistics.mean(values) for values in scores],
            height=BAR,
            xerr=[statistics.stdev(values) for values in scores],
            color=colour,
            ecolor="#333333",
            label=condition,
        )
    axes.set_yticks(range(len(methods)), list(methods))
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("Accuracy in %, mean and standard deviation over the seeds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    figure.savefig(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
