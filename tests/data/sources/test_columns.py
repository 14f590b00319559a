"""Columns that no row of a folder's metadata has."""

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import MODALITIES
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.sources.folder import load_folder


def everything(dataset):
    return [sample for split in dataset.splits.values() for sample in split]


def renamed(**names):
    return lambda rows: [{names.get(k, k): v for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("policy", ["refuse", "skip"])
@pytest.mark.parametrize(
    ("own", "other", "key"),
    [
        ("text", "caption", "text-column"),
        ("text", "Text", "text-column"),
        ("file_name", "path", "image-column"),
        ("file_name", "filename", "image-column"),
    ],
)
def test_a_modality_under_another_name_is_not_taken_for_holes(
    folder, settings, own, other, key, policy
):
    root = folder(renamed(**{own: other}))
    with pytest.raises(DataError) as error:
        load_folder(root, *settings(bad_samples=policy))
    text = str(error.value)
    assert f"1 x column that no row has: metadata.jsonl: '{own}'; it has [" in text
    assert f"Did you mean {key}='{other}'?" in text
    assert f"set {key}='none'" in text
    dataset = load_folder(root, *settings(**{key.replace("-", "_"): other}))
    assert all(sample.complete for sample in everything(dataset))


def test_a_name_like_no_other(folder, settings):
    with pytest.raises(DataError, match="Name it by text-column"):
        load_folder(folder(renamed(text="zz")), *settings())


@pytest.mark.parametrize(
    ("column", "key"), [("text", "text_column"), ("file_name", "image_column")]
)
def test_a_modality_may_be_left_out_on_purpose(folder, settings, column, key):
    bare = folder(lambda rows: [{k: v for k, v in r.items() if k != column} for r in rows])
    lacking = MODALITIES[column == "text"]
    dataset = load_folder(bare, *settings(**{key: "none"}))
    assert not any(sample.has(lacking) for sample in everything(dataset))
    nulls = load_folder(folder(lambda rows: [dict(r, **{column: None}) for r in rows]), *settings())
    assert not any(sample.has(lacking) for sample in everything(nulls))
    assert nulls.findings.num_bad == 0


def test_none_leaves_a_column_that_is_there_unread(folder, settings):
    dataset = load_folder(folder(), *settings(text_column="none"))
    assert dataset.findings.notes == {found.NO_TEXT: 10}


def test_neither_images_nor_texts(folder, settings):
    both = settings(image_column="none", text_column="none", bad_samples="skip")
    with pytest.raises(DataError, match="a sample needs an image or a text"):
        load_folder(folder(), *both)


def test_one_row_that_has_the_column_is_enough(folder, settings):
    def change(rows):
        for row in rows[1:]:
            del row["text"]

    assert load_folder(folder(change), *settings()).findings.notes == {found.NO_TEXT: 9}


def test_a_table_without_a_row_that_can_be_read_says_so(folder, settings):
    root = folder()
    (root / "metadata.jsonl").write_text("{\n")
    with pytest.raises(DataError, match=r"broken line: metadata\.jsonl:1"):
        load_folder(root, *settings())
