"""The files of a model's folder are found through links, and no link leads round in circles."""

import pytest

from fedmvp_flwr.foundation.folders.files import files_below


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    for name in ("a/x.json", "a/b/y.json", "a.json", ".hidden/z.json"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    return path


def names(folder):
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_a_plain_folder_is_walked_as_by_rglob(folder):
    assert files_below(folder) == sorted(path for path in folder.rglob("*") if path.is_file())


def test_linked_folders_are_walked_under_the_names_of_the_links(folder, tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "w.json").write_text("{}")
    (folder / "one").symlink_to(tmp_path / "elsewhere")
    (folder / "two").symlink_to(tmp_path / "elsewhere")
    (folder / "three").symlink_to(folder / "a" / "b")
    found = names(folder)
    assert {"one/deep/w.json", "two/deep/w.json", "three/y.json", "a/b/y.json"} <= set(found)
    assert len(found) == 7


def test_a_linked_model_is_a_model(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    assert names(tmp_path / "link") == names(folder)


@pytest.mark.parametrize("target", ["itself", "upwards", "above", "nowhere", "linked loop"])
def test_circles_and_links_to_nowhere_are_left_out(target, folder, tmp_path):
    before = names(folder)
    link = folder / "a" / "link"
    if target == "itself":
        link.symlink_to(link)
    elif target == "upwards":
        link.symlink_to(folder)
    elif target == "above":
        link.symlink_to(tmp_path)
    elif target == "nowhere":
        link.symlink_to(tmp_path / "nowhere")
    else:
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "back").symlink_to(tmp_path / "other")
        (tmp_path / "other" / "round").symlink_to(folder)
        link.symlink_to(tmp_path / "other")
    assert names(folder) == before
