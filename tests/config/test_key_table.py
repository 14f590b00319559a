"""The documentation lists every run-config key, with its default, as the code has it."""

from pathlib import Path

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.key_table import configuration_table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


def test_documentation_holds_the_table_of_the_code():
    assert configuration_table() in PAGE.read_text(), (
        "docs/configuration.md is out of date: paste the output of "
        "python -m fedmvp_flwr.config.key_table"
    )


def test_every_key_has_a_row_with_a_meaning():
    rows = configuration_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(RunConfig.keys())
    assert all(len(row.split("|")[4].strip()) > 10 for row in rows)
