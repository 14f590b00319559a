import os

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.files import (
    find_images,
    is_own_file,
    read_own,
    require_folder,
    require_inside,
)
from fedmvp_flwr.data.reading.findings import MISSING_FILE, OUTSIDE, Findings


@pytest.fixture
def root(tmp_path, picture):
    """A folder of two images, with one beside it."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    picture(0).save(folder / "0.png")
    picture(1).save(folder / "sub" / "1.png")
    picture(2).save(tmp_path / "secret.png")
    return require_folder(folder)


@pytest.fixture
def findings():
    return Findings("here")


@pytest.mark.parametrize("path", ["", "/no/such/folder", "x" * 5000])
def test_what_is_no_folder_is_refused(path):
    with pytest.raises(DataError, match="is no folder"):
        require_folder(path)


def test_a_table_may_not_lead_out_of_the_folder(root):
    (root / "in.csv").symlink_to(root / "0.png")
    (root / "out.csv").symlink_to(root.parent / "secret.png")
    (root / "door").symlink_to(root.parent)
    assert require_inside(root, root / "in.csv") == root / "in.csv"
    for path in (root / "out.csv", root / "door" / "secret.png"):
        with pytest.raises(DataError, match="symbolic link, or in one, that leads out"):
            require_inside(root, path)


def test_a_sample_s_file_is_there_or_found_missing_or_outside(root, findings):
    (root / "out.png").symlink_to(root.parent / "secret.png")
    assert is_own_file(root, root / "0.png", "row 1", "0.png", findings)
    assert not is_own_file(root, root / "none.png", "row 2", "none.png", findings)
    assert not is_own_file(root, root / "sub", "row 3", "sub", findings)
    assert not is_own_file(root, root / "out.png", "row 4", "out.png", findings)
    assert findings.bad == {
        MISSING_FILE: ["row 2: 'none.png'", "row 3: 'sub'"],
        OUTSIDE: ["row 4: 'out.png'"],
    }


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_file_can_have_is_a_missing_file(root, findings, name):
    assert not is_own_file(root, root / name, "row", "that", findings)
    assert list(findings.bad) == [MISSING_FILE]


def test_its_bytes(root, findings):
    assert read_own(root, root / "0.png", "row", findings) == (root / "0.png").read_bytes()
    assert read_own(root, root / "none.png", "row", findings) is None
    assert findings.num_bad == 1


def test_links_in_a_circle_are_no_file(root, findings):
    (root / "a.png").symlink_to(root / "b.png")
    (root / "b.png").symlink_to(root / "a.png")
    assert not is_own_file(root, root / "a.png", "row", "a.png", findings)


def test_images_are_found_each_once_and_holes_stay(root, findings):
    names = ["0.png", "sub/1.png", None, "0.png", "none.png", "../secret.png", os.fspath(root)]
    found = find_images(root, [(f"row {i}", name) for i, name in enumerate(names)], findings)
    assert [good for _, good in found] == [True, True, True, True, False, False, False]
    assert found[0][0] is found[3][0]
    assert found[2][0] is None
    assert found[1][0].digest != found[0][0].digest
    assert {kind: len(places) for kind, places in findings.bad.items()} == {
        MISSING_FILE: 1,
        OUTSIDE: 2,
    }
