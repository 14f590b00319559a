"""CSV files as people really save them."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.tables import read_csv, read_table
from fedmvp_flwr.data.sources.folder import load_folder
from fedmvp_flwr.data.sources.registry import load_dataset


@pytest.fixture
def read(tmp_path):
    def build(content, suffix="csv"):
        path = tmp_path / f"metadata.{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        findings = found.Findings("test")
        return read_table(path, path.name, findings, ()).rows, findings

    return build


def test_a_quote_that_is_not_closed_names_all_lines_that_are_lost(read):
    lines = ["name,text", "1,one", '2,"two', *(f"{i},more" for i in range(3, 9))]
    rows, findings = read("\n".join(lines))
    assert [row.cells["name"] for row in rows] == ["1"]
    (line,) = findings.bad[found.BROKEN_LINE]
    assert line.startswith("metadata.csv:3: unexpected end of data")
    assert "lines 3 to 9, 7 lines, are lost: is a quote not closed?" in line


def test_a_quote_that_is_closed_too_late(read):
    rows, findings = read('name,text\n1,"one\n2,two\n3,"three"\n4,four\n5,"x\ny",z\n6,six\n')
    assert [row.cells["name"] for row in rows] == ["4", "6"]
    first, second = findings.bad[found.BROKEN_LINE]
    assert first.startswith("metadata.csv:2: ")
    assert "lines 2 to 4, 3 lines, are lost" in first
    assert second.startswith("metadata.csv:6: 3 cells, expected 2 (lines 6 to 7")


def test_a_header_that_cannot_be_read(read):
    rows, findings = read('name,"text\n1,one\n2,two\n')
    assert rows == []
    assert "metadata.csv:1:" in findings.bad[found.BROKEN_LINE][0]


def test_a_long_cell_is_a_text_that_is_too_long(folder, settings):
    root = folder()
    (root / "metadata.jsonl").unlink()
    rows = [f"images/{i}.png,{'x' * 200_000 if i == 3 else 'fine'},{'ab'[i % 2]}" for i in range(9)]
    (root / "metadata.csv").write_text("\n".join(["file_name,text,label", *rows]))
    with pytest.raises(DataError) as error:
        load_folder(root, *settings())
    assert "1 x text that is too long: metadata.csv:5: 200000 characters" in str(error.value)
    assert "broken line" not in str(error.value)


def test_columns_of_one_name_are_refused(read):
    with pytest.raises(DataError, match=r"'metadata\.csv' has more than one column 'text'\."):
        read("name,text, text\n1,a,b\n")
    rows, _ = read("name,text,,\n1,a,,\n")
    assert rows[0].cells["text"] == "a", "columns without a name may be many"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_utf_16_is_named(read, encoding, suffix):
    with pytest.raises(DataError, match=r"seems to be UTF-16, expected UTF-8\. Save it as UTF-8"):
        read("name,text\n1,a\n".encode(encoding), suffix)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(read, delimiter):
    rows, findings = read(f"name{delimiter}text\n1{delimiter}one, two\n")
    assert rows[0].cells == {"name": "1", "text": "one, two"}
    assert not findings.bad
    rows, _ = read(f"name,text\n1,one{delimiter}two\n")
    assert rows[0].cells == {"name": "1", "text": f"one{delimiter}two"}


def test_only_free_text_in_the_last_column_takes_commas(tmp_path):
    path = tmp_path / "styles.csv"

    def rows(content):
        path.write_text(content)
        findings = found.Findings("test")
        table = read_csv(path, path.name, findings, free_text="name")
        return [row.cells for row in table.rows], findings.bad.get(found.BROKEN_LINE)

    cells, broken = rows("id,split,name\n1,test,Tie, red, silk\n")
    assert cells == [{"id": "1", "split": "test", "name": "Tie, red, silk"}]
    assert not broken
    for header in ("id,name,split", "id,text,split"):
        cells, broken = rows(f"{header}\n1,Tie, red, silk,train\n2,Tie,train\n")
        assert [row["id"] for row in cells] == ["2"]
        assert broken == ["styles.csv:2: 5 cells, expected 3"]


@pytest.mark.parametrize("policy", ["refuse", "skip"])
def test_a_header_without_rows_says_so(folder, settings, policy):
    root = folder()
    (root / "metadata.jsonl").unlink()
    (root / "metadata.csv").write_text("file_name,text,label\n\n")
    expected = r"metadata\.csv has no rows below its header \['file_name', 'text', 'label'\]"
    with pytest.raises(DataError, match=expected):
        load_folder(root, *settings(bad_samples=policy))
    (root / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(DataError, match=r"no column 'label' .*has \['file_name', 'text'\]"):
        load_folder(root, *settings(bad_samples=policy))
    (root / "metadata.csv").unlink()
    (root / "metadata.jsonl").touch()
    with pytest.raises(DataError, match=r"metadata\.jsonl has no rows\. Write a row"):
        load_folder(root, *settings(bad_samples=policy))


@pytest.mark.parametrize(
    ("dataset", "file", "header", "row"),
    [
        ("folder", "metadata.csv", "file_name,text,label", '1.png,"lost,a'),
        ("fashion", "styles.csv", "id,articleType,productDisplayName", '1,"lost,a'),
        ("flickr30k", "results.csv", "filename,raw,label", '1.png,"lost,a'),
        ("flickr30k", "results.csv", 'filename,raw,"label', "1.png,lost,a"),
    ],
)
def test_an_open_quote_that_lost_all_rows_is_the_finding(
    tmp_path, settings, dataset, file, header, row
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / file).write_text("\n".join([header, row, *[row.replace('"', "")] * 3]))
    with pytest.raises(DataError, match=rf"1 x broken line: {file}:\d: .*is a quote not closed"):
        load_dataset(*settings(f"{dataset}:{tmp_path}/data"))
    (tmp_path / "data" / file).write_text(header.replace('"', "") + "\n")
    with pytest.raises(DataError, match=rf"{file} has no rows below its header"):
        load_dataset(*settings(f"{dataset}:{tmp_path}/data"))
