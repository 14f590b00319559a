"""The tables of a comparison as files: JSON, CSV, Parquet and Markdown."""

import csv
import importlib.util
import io
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.comparison.methods import REFERENCE
from fedmvp_flwr.comparison.outcomes import Group, rows
from fedmvp_flwr.comparison.verdict import verdict
from fedmvp_flwr.reporting.text import DASH


def write_tables(groups: Sequence[Group], out: Path, reference: str = REFERENCE) -> list[Path]:
    """Write `table.json`, `.csv`, `.md` and, where pyarrow is installed, `.parquet`.

    Args:
        groups: at least one.
        out: existing folder.
        reference: the method that the others are measured against.

    Returns:
        The files.
    """
    cells = {group.name: as_json(group, reference) for group in groups}
    json_path = out / "table.json"
    write_json(json_path, cells[groups[0].name] | ({"cells": cells} if len(cells) > 1 else {}))
    table = list(rows(groups))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    csv_path, md_path = out / "table.csv", out / "table.md"
    write_atomic(csv_path, text.getvalue().encode())
    write_atomic(md_path, markdown(groups, reference).encode())
    written = [json_path, csv_path, md_path]
    if importlib.util.find_spec("pyarrow"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(table), out / "table.parquet")
        written.append(out / "table.parquet")
    return written


def as_json(group: Group, reference: str) -> dict[str, Any]:
    """Scores of each seed and cost by method, and the differences from the reference."""
    methods = {
        name: {
            "seeds": [run.seed for run in runs],
            "accuracy": {c: v for c in group.conditions if (v := group.values(name, c))},
            "seconds": [run.seconds for run in runs],
            "bytes": [run.bytes for run in runs],
        }
        for name, runs in group.outcomes.items()
    }
    differences = {
        name: {
            condition: asdict(difference)
            for condition in group.conditions
            if (difference := group.difference(reference, name, condition))
        }
        for name in group.outcomes
        if name != reference and reference in group.outcomes
    }
    return {
        "answer": verdict(group, reference),
        "reference": reference,
        "methods": methods,
        "differences": differences,
    }


def markdown(groups: Sequence[Group], reference: str) -> str:
    """The answer, and mean and spread over the seeds in %, a table for each cell of the grid."""
    parts = []
    for group in groups:
        head = ["method", *group.conditions]
        lines = [f"## {group.name}\n"] if group.name else []
        lines += [verdict(group, reference), "", _line(head), _line(["---"] * len(head))]
        for name in group.outcomes:
            cells = [spread(group.values(name, condition)) for condition in group.conditions]
            lines.append(_line([f"**{name}**" if name == reference else name, *cells]))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation over the seeds, in %."""
    if not values:
        return DASH
    mean = f"{100 * statistics.mean(values):.1f}"
    return f"{mean} ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else mean


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
