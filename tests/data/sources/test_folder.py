import errno
import hashlib
import json
import os
from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.base.samples import ImageRef
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.sources.folder import load_folder
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


def test_a_sound_folder(folder, settings):
    root = folder()
    dataset = load_dataset(*settings(f"folder:{root}"))
    assert dataset.class_names == ("a", "b")
    assert dataset.class_descriptions == ("a", "b")
    assert [s.key for s in dataset.splits["test"]] == ["images/4.png", "images/9.png"]
    assert len(dataset.splits["train"]) == 8
    first = dataset.splits["train"][0]
    assert (first.label, first.text) == (0, "text of 0")
    assert isinstance(first.image, ImageRef)
    content = (root / "images/0.png").read_bytes()
    assert first.image.digest == hashlib.sha256(content).hexdigest()
    assert (first.image.load().mode, first.image.load().size) == ("RGB", (12, 10))
    assert dataset.findings.num_bad == 0


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_other_tables_say_the_same(folder, settings, suffix):
    import pandas as pd

    root = folder(
        lambda rows: [dict(row, text=None if row is rows[0] else row["text"]) for row in rows]
    )
    expected = load_folder(root, *settings())
    table = pd.read_json(root / "metadata.jsonl", lines=True)
    (root / "metadata.jsonl").unlink()
    path = root / f"metadata.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    dataset = load_folder(root, *settings())
    assert everything(dataset) == everything(expected)
    assert dataset.splits["train"][0].text is None


def test_empty_cells_are_holes(folder, settings):
    def change(rows):
        rows[0]["text"], rows[1]["text"], rows[2]["file_name"] = None, "  \n", ""
        rows[2]["id"] = "x"
        del rows[3]["text"]

    dataset = load_folder(folder(change), *settings())
    train = dataset.splits["train"]
    assert [s.text for s in train[:2]] == [None, None]
    assert train[2].image is None
    assert train[2].key == "metadata.jsonl:3"
    assert dataset.findings.notes == {found.NO_TEXT: 3, found.NO_IMAGE: 1}
    by_id = load_folder(
        folder(lambda rows: [dict(r, id=f"id {i}") for i, r in enumerate(rows)]),
        *settings(id_column="id"),
    )
    assert by_id.splits["train"][2].key == "id 2"


def test_columns_by_other_names(folder, settings):
    names = {"file_name": "photo", "text": "report", "label": "finding", "split": "part"}
    root = folder(lambda rows: [{names.get(k, k): v for k, v in row.items()} for row in rows])
    columns = {
        "image_column": "photo",
        "text_column": "report",
        "label_column": "finding",
        "split_column": "part",
    }
    dataset = load_folder(root, *settings(**columns))
    assert [s.text for s in dataset.splits["test"]] == ["text of 4", "text of 9"]
    assert all(s.complete for s in everything(dataset))
    with pytest.raises(DataError, match=r"no column 'label' \(label-column\).*'finding'"):
        load_folder(root, *settings())


def test_a_subfolder_per_split(folder, settings, write_jsonl, picture):
    root = folder()
    os.remove(root / "metadata.jsonl")
    for split in ("train", "test"):
        (root / split).mkdir()
        rows = []
        for i in range(4):
            picture(i).save(root / split / f"{i}.png")
            rows.append({"file_name": f"{i}.png", "text": "t", "label": i % 2})
        write_jsonl(root / split / "metadata.jsonl", rows)
    dataset = load_folder(root, *settings())
    assert [s.key for s in dataset.splits["test"]] == [f"test/{i}.png" for i in range(4)]
    assert dataset.class_names == ("0", "1")


def test_given_class_names_decide(folder, settings):
    root = folder()
    dataset = load_folder(root, *settings(), ["c", "b", "a"])
    assert dataset.class_names == ("c", "b", "a")
    assert dataset.splits["train"][0].label == 2
    with pytest.raises(DataError, match=r"unknown label.*metadata\.jsonl:1: 'a'"):
        load_folder(root, *settings(), ["b", "A"])


def test_a_file_of_class_names(folder, settings, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("b\tthe second letter\na\n\n", encoding="utf-8")
    dataset = load_folder(folder(), *settings(class_names_file=str(path)))
    assert dataset.class_names == ("b", "a")
    assert dataset.class_descriptions == ("the second letter", "a")
    path.write_text("a\nb\na\n")
    with pytest.raises(DataError, match="'a' and 'a' look the same"):
        load_folder(folder(), *settings(class_names_file=str(path)))


def test_numbers_are_sorted_as_numbers(folder, settings):
    root = folder(lambda rows: [dict(r, label=[10, 9][i % 2]) for i, r in enumerate(rows)])
    assert load_folder(root, *settings()).class_names == ("9", "10")


def test_several_captions(folder, settings):
    root = folder(lambda rows: [dict(r, text=["one", "two", " ", "three"]) for r in rows])
    drawn = [s.text for s in everything(load_folder(root, *settings()))]
    assert set(drawn) == {"one", "two", "three"}
    assert [s.text for s in everything(load_folder(root, *settings(seed=5)))] == drawn
    assert [s.text for s in everything(load_folder(root, *settings(data_seed=1)))] != drawn
    for captions, text in (("first", "one"), ("joined", "one two three")):
        dataset = load_folder(root, *settings(captions=captions))
        assert {s.text for s in everything(dataset)} == {text}


def test_everything_bad_is_named_at_once_and_can_be_skipped(folder, settings, tmp_path, picture):
    picture().save(tmp_path / "secret.png")

    def change(rows):
        rows[0]["file_name"] = "images/gone.png"
        rows[1]["file_name"] = "../secret.png"
        rows[2]["file_name"] = str(tmp_path / "secret.png")
        rows[3]["file_name"] = "images/link.png"
        rows[5]["label"] = None
        rows[6]["file_name"] = "images/7.png"
        rows[8].update(file_name=None, text="")
        rows[9]["text"] = "\ud800 broken"
        rows[4]["text"] = "x" * 100_001
        rows[11]["label"] = "a"

    root = folder(change, count=12)
    (root / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "images" / "10.png").write_bytes((root / "images" / "10.png").read_bytes()[:80])
    with (root / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "broken\n[1, 2]\n')
    with pytest.raises(DataError) as error:
        load_folder(root, *settings())
    text = str(error.value)
    expected = {
        found.MISSING_FILE: "metadata.jsonl:1: 'images/gone.png'",
        found.OUTSIDE: "metadata.jsonl:2: '../secret.png'",
        found.NO_LABEL: "metadata.jsonl:6",
        found.DUPLICATE: "metadata.jsonl:8: 'images/7.png' is also in metadata.jsonl:7",
        found.EMPTY: "metadata.jsonl:9",
        found.BROKEN_TEXT: r"metadata.jsonl:10: \ud800 broken",
        found.LONG_TEXT: "metadata.jsonl:5: 100001 characters, at most 100,000",
        found.BROKEN_IMAGE: "metadata.jsonl:11: 'images/10.png'",
        found.BROKEN_LINE: "metadata.jsonl:13",
    }
    for kind, where in expected.items():
        assert f"x {kind}: {where}" in text
    assert "metadata.jsonl:4: 'images/link.png'" in text
    assert "3 x path out of the folder" in text
    assert "2 x broken line" in text
    halves = {"test_split": "", "test_fraction": 0.5}
    dataset = load_folder(root, *settings(bad_samples="skip", **halves))
    assert dataset.findings.num_bad == 12
    assert sorted(s.key for s in everything(dataset)) == ["images/11.png", "images/7.png"]


def test_a_link_within_the_folder_is_fine(folder, settings):
    root = folder()
    (root / "images" / "0.png").rename(root / "real.png")
    (root / "images" / "0.png").symlink_to(root / "real.png")
    assert len(everything(load_folder(root, *settings()))) == 10


def test_a_linked_subfolder_that_leads_out_is_refused(folder, settings):
    root = folder()
    (root / "images").rename(root.parent / "elsewhere")
    (root / "images").symlink_to(root.parent / "elsewhere")
    with pytest.raises(DataError, match="10 x path out of the folder"):
        load_folder(root, *settings())


@pytest.mark.parametrize(
    "text", ["🌺 ñandú 花", "\u202eright to left", "e\u0301", "a\x00b", "<b>&"]
)
def test_any_unicode_is_kept_as_it_is(folder, settings, text):
    root = folder(lambda rows: [dict(r, text=text) for r in rows])
    assert {s.text for s in everything(load_folder(root, *settings()))} == {text}


def test_a_changed_image_is_looked_at_again(folder, settings, picture):
    root = folder()
    before = {s.key: s.image.digest for s in everything(load_folder(root, *settings()))}
    picture(77).save(root / "images" / "0.png")
    os.utime(root / "images" / "0.png", (1, 1))
    after = {s.key: s.image.digest for s in everything(load_folder(root, *settings()))}
    assert {key for key in before if before[key] != after[key]} == {"images/0.png"}


def test_an_unchanged_image_is_not_opened_again(folder, settings, monkeypatch):
    from fedmvp_flwr.data.reading import image_checks

    root = folder()
    first = load_folder(root, *settings())
    monkeypatch.setattr(image_checks, "check_image", lambda content: pytest.fail("opened again"))
    assert everything(load_folder(root, *settings())) == everything(first)
    (record,) = (root.parent / "cache" / "image-checks").iterdir()
    record.write_text("damaged")
    monkeypatch.undo()
    assert everything(load_folder(root, *settings())) == everything(first)


def test_no_folder_and_no_metadata(tmp_path, settings):
    with pytest.raises(DataError, match="is no folder"):
        load_dataset(*settings(f"folder:{tmp_path}/nowhere"))
    with pytest.raises(ConfigError, match="expected 'folder:' and a path"):
        load_dataset(*settings("folder"))
    with pytest.raises(DataError, match=r"has none of metadata\.jsonl"):
        load_dataset(*settings(f"folder:{tmp_path}"))


def test_two_metadata_files_are_refused(folder, settings):
    root = folder()
    (root / "metadata.csv").write_text("file_name,label\n")
    with pytest.raises(DataError, match="Keep the one that counts"):
        load_folder(root, *settings())


def test_broken_lines_of_a_csv(folder, settings):
    root = folder()
    (root / "metadata.jsonl").unlink()
    (root / "metadata.csv").write_bytes(
        b'file_name,text,label\nimages/0.png,"two\nlines",a\nimages/1.png,b\n'
        b"images/2.png,caf\xe9,a\nimages/3.png,fine,b\nimages/4.png,fine,b\n"
    )
    with pytest.raises(DataError) as error:
        load_folder(root, *settings())
    assert "broken line: metadata.csv:4: 2 cells, expected 3" in str(error.value)
    assert r"valid Unicode: metadata.csv:5: caf\udce9" in str(error.value)
    dataset = load_folder(root, *settings(bad_samples="skip", test_fraction=0.4))
    assert sorted(s.text for s in everything(dataset)) == ["fine", "fine", "two\nlines"]


def test_nothing_left_is_an_error(folder, settings):
    root = folder(lambda rows: [dict(r, file_name="gone.png") for r in rows])
    with pytest.raises(DataError, match="no usable sample"):
        load_folder(root, *settings(bad_samples="skip"))


def test_the_metadata_of_a_user_is_never_changed(folder, settings):
    root = folder()
    before = (root / "metadata.jsonl").read_bytes()
    load_folder(root, *settings())
    assert (root / "metadata.jsonl").read_bytes() == before
    assert json.loads(before.splitlines()[0])
    assert sorted(os.listdir(root)) == ["images", "metadata.jsonl"]


def test_metadata_that_is_a_link_out_of_the_folder_is_refused(folder, settings, tmp_path):
    root = folder()
    elsewhere = tmp_path / "elsewhere.jsonl"
    (root / "metadata.jsonl").rename(elsewhere)
    (root / "metadata.jsonl").symlink_to(elsewhere)
    with pytest.raises(DataError, match="leads out"):
        load_dataset(*settings(f"folder:{root}"))
    elsewhere.rename(root / "kept.jsonl")
    (root / "metadata.jsonl").unlink()
    (root / "metadata.jsonl").symlink_to("kept.jsonl")
    assert load_dataset(*settings(f"folder:{root}")).findings.num_bad == 0


@pytest.fixture
def forbidden(monkeypatch):
    """Let a folder be one that may not be entered; root may enter whatever its mode forbids."""
    stat, scan = Path.stat, os.scandir

    def forbid(folder):
        def refuse(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

        monkeypatch.setattr(
            Path, "stat", lambda p, **k: refuse(p) if p.parent == folder else stat(p, **k)
        )
        monkeypatch.setattr(os, "scandir", lambda p: refuse(p) if Path(p) == folder else scan(p))

    return forbid


def test_a_subfolder_that_may_not_be_entered_is_noted(folder, settings, forbidden):
    root = folder()
    (root / "lost+found").mkdir()
    forbidden(root / "lost+found")
    dataset = load_folder(root, *settings())
    assert dataset.findings.notes == {f"{found.CLOSED_FOLDER}: 'lost+found'": 1}
    (root / "metadata.jsonl").unlink()
    with pytest.raises(DataError, match=r"has none of .*'lost\+found'"):
        load_folder(root, *settings())


def test_a_folder_that_may_not_be_entered_is_refused(folder, settings, forbidden):
    root = folder()
    forbidden(root)
    with pytest.raises(DataError, match=rf"'{root}' cannot be read \(Permission denied\)"):
        load_folder(root, *settings())


def test_a_link_to_where_nobody_may_look_is_no_folder(folder, settings):
    root = folder()
    (root / "loop").symlink_to("loop")
    assert len(everything(load_folder(root, *settings()))) == 10


def test_names_of_folders_and_columns_that_are_no_unicode(folder, settings):
    plain = folder()
    rows = (plain / "metadata.jsonl").read_bytes()
    (plain / "metadata.jsonl").unlink()
    root = Path(os.fsdecode(os.fsencode(plain) + b" \xe9"))
    plain.rename(root)
    inner = root / os.fsdecode(b"tr\xe9")
    (root / "images").rename(inner)
    (inner / "metadata.jsonl").write_bytes(rows.replace(b"images/", b""))
    assert len(everything(load_folder(root, *settings()))) == 10
    texts = [{"text": "t", "label": "ab"[i % 2]} for i in range(10)]
    (inner / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    samples = everything(
        load_folder(root, *settings(image_column="none", train_split=r"tr\udce9", test_split=""))
    )
    assert {s.key for s in samples} == {rf"tr\udce9/metadata.jsonl:{i + 1}" for i in range(10)}
    (inner / "metadata.jsonl").unlink()
    (inner / "metadata.csv").write_bytes(b"file_name,t\xe9xt,label\n0.png,x,a\n")
    with pytest.raises(DataError, match=r"column that no row has: tr\\udce9/metadata\.csv: 'text'"):
        load_folder(root, *settings())


def test_an_empty_id_is_that_of_the_image(folder, settings):
    def change(rows):
        for i, row in enumerate(rows):
            row["id"] = "" if i == 0 else f"id {i}"
        rows[1].update(id=None, file_name=None)

    train = load_folder(folder(change), *settings(id_column="id")).splits["train"]
    assert [s.key for s in train[:3]] == ["images/0.png", "metadata.jsonl:2", "id 2"]


@pytest.mark.parametrize("cell", [{"a": 1}, True, [1, 2]])
def test_an_id_or_owner_that_is_no_name(folder, settings, cell):
    root = folder(lambda rows: [dict(r, id=cell, site=cell) if r is rows[0] else r for r in rows])
    (root / "metadata.jsonl").write_text(
        "".join(
            json.dumps({"id": f"p{i}"} | json.loads(line)) + "\n"
            for i, line in enumerate((root / "metadata.jsonl").read_text().splitlines())
        )
    )
    for name, keys in (("id", {"id_column": "id"}), ("owner", {"partition": "column:site"})):
        with pytest.raises(DataError, match=f"1 x {found.NO_CELL}: metadata.jsonl:1: {name}"):
            load_folder(root, *settings(**keys))
    assert len(everything(load_folder(root, *settings()))) == 10
