"""The images of a table of `datasets`."""

import io
from pathlib import Path

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.findings import MISSING_FILE, OUTSIDE, Findings
from fedmvp_flwr.data.sources.hf_images import image_root, table_images

datasets = pytest.importorskip("datasets")


@pytest.fixture
def encoded(picture):
    buffer = io.BytesIO()
    picture(3).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def table():
    def make(*cells):
        features = datasets.Features({"photo": datasets.Image(decode=False)})
        return datasets.Dataset.from_dict({"photo": list(cells)}, features=features)

    return make


def test_images_from_the_table_and_from_files(table, encoded, picture, tmp_path):
    picture(4).save(tmp_path / "4.png")
    cells = [
        {"bytes": encoded, "path": None},
        None,
        {"bytes": None, "path": str(tmp_path / "4.png")},
    ]
    findings = Findings("t")
    images, usable = table_images(table(*cells), "photo", "train", tmp_path.resolve(), findings)
    assert sorted(images) == [0, 2]
    assert usable == [True, True, True]
    assert images[0].load().tobytes() == picture(3).tobytes()
    assert images[2].load().tobytes() == picture(4).tobytes()
    assert findings.num_bad == 0


def test_files_that_are_elsewhere_or_not_there_are_named_by_row(table, picture, tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    picture(4).save(tmp_path / "secret.png")
    cells = [
        {"bytes": None, "path": str(path)} for path in (root / "no.png", tmp_path / "secret.png")
    ]
    findings = Findings("t")
    images, usable = table_images(table(*cells), "photo", "test", root.resolve(), findings)
    assert (images, usable) == ({}, [False, False])
    assert list(findings.bad) == [MISSING_FILE, OUTSIDE]
    assert findings.bad[OUTSIDE][0].startswith("test:row 1")


def test_a_selection_shows_its_own_rows(table, encoded, picture, tmp_path):
    cells = [None, {"bytes": encoded, "path": None}, None]
    images, _ = table_images(
        table(*cells).select([2, 1]), "photo", "train", tmp_path, Findings("t")
    )
    assert list(images) == [1]
    assert images[1].load().tobytes() == picture(3).tobytes()


def test_without_a_column_there_are_no_images(table, tmp_path):
    assert table_images(table(None, None), None, "train", tmp_path, Findings("t")) == (
        {},
        [True] * 2,
    )


def test_a_column_of_another_type_is_refused(tmp_path):
    words = datasets.Dataset.from_dict({"photo": ["a"]})
    with pytest.raises(DataError, match=r"column 'photo' is .*not an Image.*cast_column"):
        table_images(words, "photo", "train", tmp_path, Findings("t"))


def test_files_lie_in_the_data_s_own_folder_or_in_the_hub_s_cache(tmp_path):
    assert image_root(str(tmp_path)) == tmp_path.resolve()
    assert image_root("owner/name") == Path(datasets.config.HF_CACHE_HOME).resolve()
