import io
import os
import re
import signal

import pytest
import typer
from rich.console import Console

from fedmvp_flwr.cli.console import (
    ExitCode,
    dated,
    fields_table,
    interruptible,
    progress_bars,
    rows_table,
)


def shown(renderable):
    text = io.StringIO()
    Console(file=text, width=80).print(renderable)
    return text.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_command_with_its_code(number, capsys):
    with pytest.raises(typer.Exit) as ended, interruptible():
        os.kill(os.getpid(), number)
    assert ended.value.exit_code == ExitCode.INTERRUPTED == 130
    assert "Nothing is left running" in capsys.readouterr().err


def test_nothing_happens_without_one():
    with interruptible():
        pass


def test_a_folder_name_of_date_and_time():
    assert re.fullmatch(r"\d{8}-\d{6}", dated())


def test_fields_a_line_each():
    assert shown(fields_table({"clients": 3, "disk": "full"})).split() == [
        *("clients", "3"),
        *("disk", "full"),
    ]


def test_rows_may_lack_a_column():
    lines = shown(rows_table([{"a": 1}, {"a": 2, "b": 3}])).splitlines()
    assert "a" in lines[1]
    assert "b" in lines[1]
    assert lines[3].count("3") == 0
    assert lines[4].count("3") == 1


def test_bars_are_for_terminals():
    text = io.StringIO()
    with progress_bars(Console(file=text)) as show:
        show("features", 1, 2)
        show("features", 2, 2)
    assert text.getvalue().strip() == ""
    text = io.StringIO()
    with progress_bars(Console(file=text, force_terminal=True, width=60)) as show:
        show("features", 2, 2)
    assert "features" in text.getvalue()
