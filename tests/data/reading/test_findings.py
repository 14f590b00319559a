import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.findings import (
    DUPLICATE,
    MISSING_FILE,
    NO_COLUMN,
    ROTATED,
    SHOWN,
    Findings,
)


@pytest.fixture
def findings(tmp_path):
    found = Findings("folder:/shop", tmp_path)
    found.add(MISSING_FILE, "metadata.csv:7", "'a.png'")
    found.add(DUPLICATE, "metadata.csv:9")
    found.note(ROTATED)
    found.note(ROTATED)
    return found


def test_bad_samples_are_named_by_kind(findings):
    assert findings.num_bad == 2
    assert findings.lines() == [
        "1 x missing file: metadata.csv:7: 'a.png'",
        "1 x duplicate id: metadata.csv:9",
    ]


def test_they_are_refused_all_at_once_and_kept_in_a_file(findings):
    with pytest.raises(
        DataError, match=r"(?s)has 2 bad sample\(s\).*a\.png.*All of them: "
    ) as error:
        findings.refuse_if("refuse")
    with open(findings.saved, encoding="utf-8") as file:
        assert json.load(file)["bad"] == findings.bad
    assert findings.saved in str(error.value)


def test_or_skipped_and_told(findings):
    findings.refuse_if("skip")
    lines = findings.summary()
    assert lines[0] == "2 x rotated by EXIF"
    assert lines[1].startswith("2 bad sample(s) left out:\n  All of them: ")


def test_a_column_that_is_not_there_is_never_skipped(findings):
    findings.add(NO_COLUMN, "'label'")
    with pytest.raises(DataError, match="bad-samples='skip' is no way around"):
        findings.refuse_if("skip")


def test_nothing_bad_is_refused_by_nobody():
    found = Findings("x")
    found.note(ROTATED)
    found.refuse_if("refuse")
    assert found.summary() == ["1 x rotated by EXIF"]


def test_of_many_the_first_are_shown():
    found = Findings("x")
    for number in range(SHOWN + 5):
        found.add(MISSING_FILE, f"row {number}")
    assert f"row {SHOWN - 1}; and 5 more" in found.lines()[0]


def test_a_cache_that_cannot_be_written_is_no_second_error(tmp_path):
    (tmp_path / "file").touch()
    found = Findings("x", tmp_path / "file")
    found.add(MISSING_FILE, "a")
    with pytest.raises(DataError, match="1 bad sample"):
        found.refuse_if("refuse")
    assert found.saved == ""


def test_names_that_are_no_unicode_are_escaped():
    found = Findings("folder:/\udcff")
    found.add(MISSING_FILE, "\udcfe.png")
    text = "".join([found.source, *found.lines()])
    assert text.encode()
