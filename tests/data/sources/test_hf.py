import errno
import io

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.sources.registry import load_dataset

datasets = pytest.importorskip("datasets", reason="comes with the extra 'data'")


@pytest.fixture
def table(picture):
    """Build a `datasets.Dataset`; `change` edits the columns first."""

    def build(count=10, change=None, label=None, first=0):
        columns = {
            "image": [picture(first + i) for i in range(count)],
            "text": [f"text {i}" for i in range(count)],
            "label": [i % 2 for i in range(count)],
            "site": ["x", "y"] * (count // 2),
        }
        if change:
            change(columns)
        features = datasets.Features(
            {
                "image": datasets.Image(),
                "text": datasets.Value("string"),
                "label": label or datasets.ClassLabel(names=["cat", "dog"]),
                "site": datasets.Value("string"),
            }
        )
        return datasets.Dataset.from_dict(columns, features=features)

    return build


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


def test_saved_splits(table, settings, tmp_path, picture):
    datasets.DatasetDict({"train": table(10), "test": table(4, first=20)}).save_to_disk(
        tmp_path / "saved"
    )
    dataset = load_dataset(*settings(f"hf:{tmp_path}/saved"))
    assert dataset.class_names == ("cat", "dog")
    assert [len(dataset.splits[name]) for name in ("train", "test")] == [10, 4]
    third = dataset.splits["test"][3]
    assert (third.key, third.label, third.text) == ("test/3", 1, "text 3")
    assert third.image.load().tobytes() == picture(23).tobytes()
    assert len({s.image.digest for s in everything(dataset)}) == 14


def test_a_single_table_holds_out_a_fraction(table, settings, tmp_path):
    table(10).save_to_disk(tmp_path / "saved")
    dataset = load_dataset(*settings(f"hf:{tmp_path}/saved", test_fraction=0.4))
    assert [len(dataset.splits[name]) for name in ("train", "test")] == [6, 4]
    assert sorted(s.key for s in everything(dataset))[0] == "train/0"


def test_a_folder_that_load_dataset_reads(folder, settings, tmp_path):
    root = folder(lambda rows: [{k: v for k, v in r.items() if k != "split"} for r in rows])
    dataset = load_dataset(*settings(f"hf:{root}"))
    assert len(everything(dataset)) == 10
    assert dataset.class_names == ("a", "b")
    assert all(s.complete for s in everything(dataset))


def test_null_cells_are_holes(table, settings, tmp_path):
    def change(columns):
        columns["image"][1] = None
        columns["text"][2] = None

    table(change=change).save_to_disk(tmp_path / "saved")
    samples = sorted(
        everything(load_dataset(*settings(f"hf:{tmp_path}/saved"))), key=lambda s: s.key
    )
    assert [s.has("image") for s in samples] == [i != 1 for i in range(10)]
    assert [s.has("text") for s in samples] == [i != 2 for i in range(10)]


def test_a_selection_keeps_images_and_rows_together(table, settings, tmp_path, picture):
    table().select([7, 3, 1, 8, 2, 5]).save_to_disk(tmp_path / "saved")
    for sample in everything(load_dataset(*settings(f"hf:{tmp_path}/saved"))):
        original = int(sample.text.removeprefix("text "))
        assert sample.image.load().tobytes() == picture(original).tobytes()
        assert sample.label == original % 2


def test_columns_by_other_names_and_owners(table, settings, tmp_path):
    names = {"image": "photo", "text": "report", "label": "finding"}
    table(label=datasets.Value("string")).rename_columns(names).save_to_disk(tmp_path / "saved")
    keys = {"image_column": "photo", "text_column": "report", "label_column": "finding"}
    dataset = load_dataset(*settings(f"hf:{tmp_path}/saved", partition="column:site", **keys))
    assert dataset.class_names == ("0", "1")
    assert {s.owner for s in everything(dataset)} == {"x", "y"}
    with pytest.raises(DataError, match=r"no column 'label' \(label-column\).*'photo'"):
        load_dataset(*settings(f"hf:{tmp_path}/saved"))


def test_hidden_labels_are_no_labels(table, settings, tmp_path):
    table(change=lambda c: c["label"].__setitem__(3, -1)).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="1 x sample without label: train:row 3"):
        load_dataset(*settings(f"hf:{tmp_path}/saved"))


def test_broken_images_are_named_by_row(table, settings, tmp_path, picture):
    buffer = io.BytesIO()
    picture(size=(64, 64)).save(buffer, "PNG")

    def change(columns):
        columns["image"][4] = {"bytes": buffer.getvalue()[:100], "path": None}

    table(change=change).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"cannot be decoded: train:row 4: 'train:row 4'"):
        load_dataset(*settings(f"hf:{tmp_path}/saved"))
    dataset = load_dataset(*settings(f"hf:{tmp_path}/saved", bad_samples="skip"))
    assert len(everything(dataset)) == 9


def test_a_column_that_holds_no_images(table, settings, tmp_path):
    table().remove_columns("image").rename_column("site", "image").save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match=r"column 'image' is Value\('string'\), not an Image"):
        load_dataset(*settings(f"hf:{tmp_path}/saved"))


def test_streaming_is_refused_with_the_reason(settings):
    with pytest.raises(DataError, match="Streaming is refused, because"):
        load_dataset(*settings("hf:somebody/something?streaming=true"))


def test_what_cannot_be_loaded_says_so(settings, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="cannot be loaded"):
        load_dataset(*settings(f"hf:{tmp_path}/empty"))

    def offline(*args, **kwargs):
        raise ConnectionError("offline")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match=r"ConnectionError: offline.*HF_HUB_OFFLINE"):
        load_dataset(*settings("hf:somebody/something"))


def test_name_and_configuration_go_to_the_library(table, settings, monkeypatch):
    asked = []

    def fake(*args):
        asked.append(args)
        return datasets.DatasetDict({"train": table(10), "test": table(2)})

    monkeypatch.setattr(datasets, "load_dataset", fake)
    load_dataset(*settings("hf:somebody/something@small"))
    load_dataset(*settings("hf:somebody/other"))
    assert asked == [("somebody/something", "small"), ("somebody/other", None)]


def test_images_outside_of_the_data_are_refused(table, settings, tmp_path, picture, monkeypatch):
    picture().save(tmp_path / "secret.png")
    stored = table().cast_column("image", datasets.Image(decode=False))

    def leave(row, index):
        if index in (1, 4):
            path = tmp_path / ("secret.png" if index == 1 else "saved/gone.png")
            row["image"] = {"bytes": None, "path": str(path)}
        return row

    stored = stored.map(leave, with_indices=True).cast_column("image", datasets.Image())
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    # save_to_disk would embed the very file.
    monkeypatch.setattr(datasets, "load_from_disk", lambda path: stored)
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"hf:{tmp_path}/saved"))
    assert "path out of the folder: train:row 1" in str(error.value)
    assert "missing file: train:row 4" in str(error.value)
    assert len(everything(load_dataset(*settings(f"hf:{tmp_path}/saved", bad_samples="skip")))) == 8


def stored(images, labels):
    """A table as it lies on a disk that others wrote to, past the checks of the library."""
    import pyarrow as pa

    cells = pa.array(images, type=pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    texts = [f"text {i}" for i in range(len(images))]
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "text": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["7", "dog"]),
        }
    )
    return datasets.Dataset(
        pa.table({"image": cells, "text": texts, "label": labels}),
        info=datasets.DatasetInfo(features=features),
    )


@pytest.fixture
def png(picture):
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def test_labels_that_have_no_name_are_unknown(settings, tmp_path, png):
    stored([png] * 8, [0, 1, 7, -2, 0, 1, 0, 1]).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"hf:{tmp_path}/saved"))
    assert "2 x unknown label: train:row 2: 7, expected a number from 0 to 1" in str(error.value)
    assert "train:row 3: -2, expected" in str(error.value)
    kept = load_dataset(*settings(f"hf:{tmp_path}/saved", bad_samples="skip", test_fraction=0.5))
    assert len(everything(kept)) == 6


def test_an_image_with_neither_bytes_nor_path_is_a_hole(settings, monkeypatch, png):
    table = stored([png, {"bytes": None, "path": None}, png, None, png, png], [0, 1] * 3)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: table)
    dataset = load_dataset(*settings("hf:somebody/something", test_fraction=0.4))
    assert {s.key for s in everything(dataset) if not s.has("image")} == {"train/1", "train/3"}


def close(monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)


def test_a_file_that_cannot_be_read_is_a_bad_sample(settings, tmp_path, png, monkeypatch, picture):
    root = tmp_path / "saved"
    root.mkdir()
    (root / "state.json").write_text("{}")
    picture().save(root / "closed.png")
    table = stored(
        [png, png, png, png, {"bytes": None, "path": f"{root}/closed.png"}], [0, 1] * 2 + [0]
    )
    monkeypatch.setattr(datasets, "load_from_disk", lambda path: table)
    with monkeypatch.context() as closed:
        close(closed)
        with pytest.raises(DataError, match=r"decoded: train:row 4: .*Permission denied"):
            load_dataset(*settings(f"hf:{root}"))
    assert len(everything(load_dataset(*settings(f"hf:{root}", test_fraction=0.4)))) == 5


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_modality_may_be_left_out_on_purpose(table, settings, tmp_path, modality, there):
    whole = table()
    (whole if there else whole.remove_columns(modality)).save_to_disk(tmp_path / "saved")
    keys = {f"{modality}_column": "none"}
    dataset = load_dataset(*settings(f"hf:{tmp_path}/saved", test_fraction=0.4, **keys))
    other = {"image": "text", "text": "image"}[modality]
    samples = everything(dataset)
    assert len(samples) == 10
    assert not any(sample.has(modality) for sample in samples)
    assert all(sample.has(other) for sample in samples)
    assert dataset.findings.notes == {f"no {modality} (a hole)": 10}


@pytest.mark.parametrize("modality", ["image", "text"])
def test_a_column_that_is_not_there_may_be_none_on_purpose(table, settings, tmp_path, modality):
    table().remove_columns(modality).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError) as error:
        load_dataset(*settings(f"hf:{tmp_path}/saved"))
    assert f"If there is none on purpose, set {modality}-column='none'" in str(error.value)
    with pytest.raises(DataError, match=rf"no column 'x' \({modality}-column\)") as error:
        load_dataset(*settings(f"hf:{tmp_path}/saved", **{f"{modality}_column": "x"}))
    assert "on purpose" not in str(error.value)


def test_neither_images_nor_texts(table, settings, tmp_path):
    table().save_to_disk(tmp_path / "saved")
    keys = {"image_column": "none", "text_column": "none"}
    with pytest.raises(DataError, match="a sample needs an image or a text"):
        load_dataset(*settings(f"hf:{tmp_path}/saved", **keys))
