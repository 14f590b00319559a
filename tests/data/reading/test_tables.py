"""Parquet files with columns that nobody asks for."""

import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.tables import read_table
from fedmvp_flwr.data.sources.folder import load_folder

pa = pytest.importorskip("pyarrow", reason="it comes with the extra 'data'")


@pytest.fixture
def parquet(folder):
    """A folder of ten images with `metadata.parquet`, which has further columns."""

    def build(**further):
        import pyarrow.parquet as pq

        root = folder()
        rows = map(json.loads, (root / "metadata.jsonl").open())
        table = pa.Table.from_pylist(list(rows))
        (root / "metadata.jsonl").unlink()
        for name, values in further.items():
            table = table.append_column(name, values)
        pq.write_table(table, root / "metadata.parquet")
        return root

    return build


def out_of_range(kind):
    if kind == "date":
        return pa.array([2**31 - 1] * 10, pa.int32()).cast(pa.date32())
    if kind == "timestamp":
        return pa.array([2**62] * 10, pa.int64()).cast(pa.timestamp("us"))
    return pa.array([2**62] * 10, pa.int64()).cast(pa.duration("ms"))


@pytest.mark.parametrize("kind", ["date", "timestamp", "duration"])
def test_values_that_python_has_not(parquet, settings, kind):
    root = parquet(when=out_of_range(kind))
    dataset = load_folder(root, *settings())
    assert dataset.findings.num_bad == 0
    assert sum(map(len, dataset.splits.values())) == 10
    for keys in ({"id_column": "when"}, {"text_column": "when"}, {"partition": "column:when"}):
        with pytest.raises(DataError, match=r"'metadata\.parquet': column 'when' cannot be read"):
            load_folder(root, *settings(**keys))


def test_a_missing_column_lists_all_that_are_there(parquet, settings):
    root = parquet(embedding=pa.array([[0.5]] * 10))
    with pytest.raises(
        DataError, match=r"'nope' \(id-column\)\. It has \['embedding', 'file_name'"
    ):
        load_folder(root, *settings(id_column="nope"))


def test_only_the_columns_that_are_wanted_are_read(parquet, tmp_path):
    parquet(**{"a": pa.array([{"b": i} for i in range(10)]), "a.b": pa.array(range(10))})
    path = tmp_path / "folder" / "metadata.parquet"
    table = read_table(path, path.name, found.Findings("test"), ("a", "a.b", "nope"))
    assert set(table.columns) == {"file_name", "text", "label", "split", "site", "a", "a.b"}
    row = table.rows[3]
    assert row.where == "metadata.parquet:row 4"
    assert row.cells == {"a": {"b": 3}, "a.b": 3}


def test_columns_of_one_name_are_refused(tmp_path):
    import pyarrow.parquet as pq

    path = tmp_path / "metadata.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 2, names=["text", "text"]), path)
    with pytest.raises(DataError, match=r"more than one column 'text'\."):
        read_table(path, path.name, found.Findings("test"), ())


def test_no_parquet(tmp_path):
    path = tmp_path / "metadata.parquet"
    path.write_bytes(b"PAR1 nothing of the kind")
    with pytest.raises(DataError, match="no parquet file that can be read"):
        read_table(path, path.name, found.Findings("test"), ())
