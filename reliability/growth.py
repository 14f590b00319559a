"""What many rounds left behind: growth per round, as a table, as a picture, and against limits."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

MEMORY, FILES, DISK, CPU = "memory", "files", "disk", "cpu"
"""First words of the columns; the rest of a column's name says what was measured."""
_WARM_UP = 0.1  # of the rounds: pools and caches fill, growth is counted from there
_MEBIBYTE = 2**20
_PANELS = {MEMORY: "resident memory, MiB", FILES: "open files", DISK: "disk, MiB"}

# Growth per round that is too much, several times what 200 rounds have shown (docs/reliability.md)
# and small enough for 10,000 rounds. Memory, of a process: 16 kB were measured, where resident
# memory wanders by some MiB; 64 kB are 0.6 GB, which each process of a container can afford within
# its 4 GB. Files: 0.01 were measured; 0.05 are 500, half of what a process may usually open. Disk:
# 0.9 kB were measured, the round's line in the history included; 20 kB are 0.2 GB, and less than a
# message of arrays (87 kB) that nobody deletes.
LIMITS = {MEMORY: 64_000.0, FILES: 0.05, DISK: 20_000.0}
MIN_ROUNDS = 100  # with fewer, what wanders looks like growth

Sample = dict[str, float]
"""Measurements after a round, by column: `round`, `seconds`, and kinds with their subjects."""


def read_samples(path: Path) -> list[Sample]:
    """The samples in a file of `endure`."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def slope(samples: Sequence[Mapping[str, float]], name: str) -> float:
    """Least-squares growth per round, after the warm-up; 0 with fewer than two measurements."""
    return _fit(_measured(samples, name))


def grown(samples: Sequence[Mapping[str, float]]) -> list[str]:
    """What grew by more than `LIMITS`, in words; nothing with fewer rounds than `MIN_ROUNDS`.

    Growth counts if the earlier and the later half of the rounds both show it: an allocator or a
    pool takes a step once, which is a slope of the half with the step alone.
    """
    if len(samples) < MIN_ROUNDS:
        return []
    problems = []
    for name in samples[0]:
        kind, _, what = name.partition(" ")
        if kind not in LIMITS:
            continue
        rows = _measured(samples, name)
        half = len(rows) // 2
        growth = min(_fit(rows[:half]), _fit(rows[half:]))
        if len(rows) < MIN_ROUNDS // 2:
            problems.append(f"{kind} of {what} was there after {len(rows)} rounds only")
        elif growth > LIMITS[kind]:
            problems.append(
                f"{kind} of {what} grew by {_per_round(kind, growth)} a round or more in both "
                f"halves of the rounds, the limit is {_per_round(kind, LIMITS[kind])}"
            )
    return problems


def _measured(samples: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """Round and value after the warm-up, where there was something to measure."""
    rows = [(row["round"], row[name]) for row in samples[int(_WARM_UP * len(samples)) :]]
    return [(number, value) for number, value in rows if math.isfinite(value)]


def _fit(rows: Sequence[tuple[float, float]]) -> float:
    if not rows:
        return 0.0
    mean_x, mean_y = (sum(column) / len(rows) for column in zip(*rows, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in rows)
    return sum((x - mean_x) * (y - mean_y) for x, y in rows) / spread if spread else 0.0


def _per_round(kind: str, growth: float) -> str:
    return f"{growth:+.2f}" if kind == FILES else f"{growth / 1000:+.1f} kB"


def report(samples: Sequence[Sample]) -> str:
    """The table in Markdown: the first, a middle and the last round, and the growth per round."""
    if not samples:
        return "No round was finished.\n"
    warm, middle, last = (samples[int(part * (len(samples) - 1))] for part in (_WARM_UP, 0.5, 1))
    heads = [f"round {row['round']:.0f}" for row in (warm, middle, last)]
    pace = last["seconds"] / len(samples)
    work = sum(slope(samples, name) for name in samples[0] if name.startswith(CPU))
    lines = [
        f"{last['round']:.0f} rounds in {last['seconds'] / 60:.0f} minutes, {pace:.0f} s and "
        f"{work:.1f} CPU seconds a round; growth from round {warm['round']:.0f} on.",
        "",
        f"| what | {' | '.join(heads)} | growth per round |",
        "|---|---|---|---|---|",
    ]
    for name in samples[0]:
        kind, _, what = name.partition(" ")
        if kind in (MEMORY, FILES, DISK):
            values = [shown(kind, row[name]) for row in (warm, middle, last)]
            per_round = _per_round(kind, slope(samples, name))
            lines.append(f"| {kind}: {what} | {' | '.join(values)} | {per_round} |")
    return "\n".join(lines) + "\n"


def shown(kind: str, value: float) -> str:
    """A value as the table shows it."""
    return f"{value:.0f}" if kind == FILES else f"{value / _MEBIBYTE:.1f} MiB"


def draw(samples: Sequence[Sample], target: Path) -> None:
    """Draw memory, open files and disk over the rounds, a line for each process and folder."""
    rounds = [row["round"] for row in samples]
    with matplotlib.rc_context({"font.size": 8, "legend.fontsize": 6}):
        figure = Figure(figsize=(10, 4), layout="constrained")
        for axes, (kind, label) in zip(
            figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True
        ):
            for name in samples[0]:
                what = name.partition(" ")
                if what[0] == kind:
                    unit = 1 if kind == FILES else _MEBIBYTE
                    axes.plot(rounds, [row[name] / unit for row in samples], lw=1, label=what[2])
            axes.set_ylim(bottom=0)
            axes.set_xlabel("round")
            axes.set_title(label, loc="left")
            axes.spines[["top", "right"]].set_visible(False)
            axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
        figure.savefig(target, dpi=130)
