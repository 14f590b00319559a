import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.dealing.key_files import keyed_rows, parse_record, read_text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.csv"


def test_the_text_comes_without_its_mark(path):
    path.write_bytes("\ufeffkey\n".encode())
    assert read_text(path, "here") == "key\n"


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_a_file_that_cannot_be_read_names_its_setting(path, content):
    if content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"partition='file:x' cannot be read as UTF-8"):
        read_text(path, "partition='file:x'")


def test_a_record_of_the_wanted_type(path):
    assert parse_record(path, '{"a": [1, 2]}', dict[str, list[int]], "saved split") == {"a": [1, 2]}
    with pytest.raises(DataError, match=r"keys\.csv' is no saved split: a\.1: "):
        parse_record(path, '{"a": [1, "x"]}', dict[str, list[int]], "saved split")
    with pytest.raises(DataError, match=r"is no saved split: content: "):
        parse_record(path, "{", dict[str, list[int]], "saved split")


def test_rows_by_their_key_with_their_place(path):
    rows = keyed_rows(path, "client, key ,more\n 3 ,a,x\n4, b ,y\n", ["client"])
    assert {key: cells["client"] for key, (_, cells) in rows.items()} == {"a": "3", "b": "4"}
    assert rows["b"][0].endswith("keys.csv:3")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("key\na\n", r"needs the columns key, client; has \['key'\]"),
        ("key,client\na,1\n a ,2\n", r"keys\.csv:3: 'a' is named twice"),
        ("key,client\na,1\nb\n", r"keys\.csv:3: .*Repair that line"),
    ],
)
def test_tables_that_cannot_be_used(path, content, message):
    with pytest.raises(DataError, match=message):
        keyed_rows(path, content, ["client"])
