import errno
import json
import logging
import os
from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading import image_checks
from fedmvp_flwr.data.reading.image_checks import check_contents, check_files
from fedmvp_flwr.data.sources.registry import load_dataset


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


@pytest.fixture
def closed(monkeypatch):
    """Make files of one name unreadable; root may read whatever its mode forbids."""
    read = Path.read_bytes

    def close(name):
        def refuse(path):
            if path.name == name:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", refuse)

    return close


def test_a_closed_image_is_one_bad_sample(folder, settings, closed, caplog):
    root = folder()
    closed("3.png")
    expected = r"1 x image that cannot be decoded: metadata\.jsonl:4: 'images/3\.png' \(cannot be "
    with pytest.raises(DataError, match=f"{expected}read: Permission denied"):
        load_dataset(*settings(f"folder:{root}"))
    with caplog.at_level(logging.WARNING):
        kept = load_dataset(*settings(f"folder:{root}", bad_samples="skip"))
    assert len(everything(kept)) == 9
    assert "1 bad sample(s) left out" in caplog.text


def test_it_is_looked_at_again(folder, settings, closed, monkeypatch):
    root = folder()
    closed("3.png")
    load_dataset(*settings(f"folder:{root}", bad_samples="skip"))
    monkeypatch.undo()
    assert len(everything(load_dataset(*settings(f"folder:{root}")))) == 10


def test_images_that_vanish_are_not_remembered(tmp_path, picture):
    picture().save(tmp_path / "a.png")
    there, gone = (i.check for i in check_files(tmp_path, ["a.png", "gone.png"], tmp_path))
    assert (there.problem, gone.problem) == ("", "cannot be read: No such file or directory")
    assert (gone.digest, gone.brightness, gone.bomb) == ("", -1, False)
    (record,) = (tmp_path / "image-checks").iterdir()
    assert [key.partition("|")[0] for key in json.loads(record.read_bytes())] == ["a.png"]
    picture(1).save(tmp_path / "gone.png")
    assert not check_files(tmp_path, ["gone.png"], tmp_path)[0].check.problem


def test_a_cell_that_cannot_be_read_is_not_remembered(tmp_path):
    def read():
        raise OSError("the disk")

    (image,) = check_contents(["k"], ["row 1"], [read], tmp_path, "table")
    assert image.check.problem == "cannot be read: the disk"
    assert not (tmp_path / "image-checks").exists()


def test_a_file_that_is_larger_than_any_image_is_one_bad_sample(folder, settings):
    root = folder()
    os.truncate(root / "images" / "3.png", 8 * 2**30)  # sparse
    expected = r"1 x image that cannot be decoded: metadata\.jsonl:4: .*cannot be read: 8,589,934,"
    with pytest.raises(DataError, match=expected):
        load_dataset(*settings(f"folder:{root}"))


def test_a_root_whose_name_is_no_unicode(tmp_path, picture):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/tr\xe9"))
    root.mkdir()
    picture().save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(root / "a.png")
    for _ in range(2):
        assert not check_files(root, ["a.png"], tmp_path)[0].check.problem
    assert len(list((tmp_path / "image-checks").iterdir())) == 1


def test_verdicts_of_an_older_version_are_not_taken(tmp_path, picture, monkeypatch):
    picture(size=(1, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(image_checks, "_VERSION", 1)
    with monkeypatch.context() as older:
        older.setattr("fedmvp_flwr.data.reading.image_decoding.MAX_ASPECT_RATIO", 1000)
        assert not check_files(tmp_path, ["a.png"], tmp_path)[0].check.bomb
    assert not check_files(tmp_path, ["a.png"], tmp_path)[0].check.bomb
    monkeypatch.undo()
    assert check_files(tmp_path, ["a.png"], tmp_path)[0].check.bomb
