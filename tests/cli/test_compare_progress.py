import io
import json

import pytest
from rich.console import Console

from fedmvp_flwr.cli.compare_progress import ProgressTable
from fedmvp_flwr.comparison.runner import Progress
from fedmvp_flwr.config import RunConfig


@pytest.fixture
def shown(tmp_path):
    """A console that is no terminal, a table of two runs, and what was written."""
    (tmp_path / "result.json").write_text(json.dumps({"accuracy": {"complete": 0.625}}))
    names = ("runs/mask/seed-0", "runs/fedmvp/seed-0")
    configs = {name: RunConfig.of(out_dir=str(tmp_path)) for name in names}
    text = io.StringIO()
    return ProgressTable(Console(file=text, width=200), configs), text


def test_each_run_that_ends_is_told_once(shown):
    table, text = shown
    with table:
        table.show(Progress(2, running={"runs/mask/seed-0": 3}))
        table.show(Progress(2, done=["runs/mask/seed-0"], seconds=[60.0]))
        table.show(Progress(2, done=["runs/mask/seed-0"], failed={"runs/fedmvp/seed-0": "why"}))
    assert text.getvalue().splitlines() == [
        "1/2 mask/seed-0: complete 62.5%",
        "2/2 fedmvp/seed-0: failed: why",
    ]


def test_runs_of_before_are_counted(shown):
    table, text = shown
    with table:
        table.show(Progress(2, done=["runs/mask/seed-0"]))
    assert text.getvalue() == "1 runs are there already.\n"


def test_the_time_left_is_that_of_the_runs_so_far(shown):
    table, _ = shown
    progress = Progress(10, done=["a"] * 4, running={"b": 1, "c": 2}, seconds=[60.0, 120.0])
    assert table._left(progress) == "about 4 min left"  # 6 runs of 90 s, two at a time
    assert table._left(Progress(10)) == ""
