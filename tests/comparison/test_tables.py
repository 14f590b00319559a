import csv
import json

import pyarrow.parquet as pq
import pytest

from fedmvp_flwr.comparison.outcomes import Group
from fedmvp_flwr.comparison.tables import spread, write_tables
from fedmvp_flwr.reporting.text import DASH


def test_files(make_group, tmp_path):
    group = make_group(mask=0.5, fedmvp=0.75)
    written = write_tables([group], tmp_path)
    assert [path.name for path in written] == [
        "table.json",
        "table.csv",
        "table.md",
        "table.parquet",
    ]
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["methods"]["mask"]["accuracy"]["complete"] == [0.5, 0.5, 0.5]
    assert len(table["methods"]["mask"]["seconds"]) == len(table["methods"]["mask"]["bytes"]) == 3
    assert table["differences"]["mask"]["complete"]["mean"] == pytest.approx(0.25)
    assert "cells" not in table
    with (tmp_path / "table.csv").open() as file:
        read = list(csv.DictReader(file))
    assert len(read) == 2 * 3 * 2
    assert pq.read_table(tmp_path / "table.parquet").to_pylist()[0]["method"] == "mask"
    text = (tmp_path / "table.md").read_text()
    assert "| **fedmvp** | 75.0 ± 0.0 |" in text


def test_every_cell_of_a_grid(make_group, tmp_path):
    groups = [Group(f"ratio={r}", make_group(mask=r, fedmvp=r).outcomes) for r in (0.25, 0.5)]
    write_tables(groups, tmp_path)
    table = json.loads((tmp_path / "table.json").read_text())
    assert list(table["cells"]) == ["ratio=0.25", "ratio=0.5"]
    assert "## ratio=0.5" in (tmp_path / "table.md").read_text()


def test_spread():
    assert spread([0.5]) == "50.0"
    assert spread([0.5, 0.7]) == "60.0 ± 14.1"
    assert spread([]) == DASH
