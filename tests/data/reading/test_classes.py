import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.data.reading.classes import (
    class_index,
    classes_of,
    describe,
    named_classes,
    read_classes,
)


@pytest.fixture
def read(tmp_path):
    """Read the classes of a file with the given content."""

    def from_content(content):
        path = tmp_path / "classes.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_classes(RunConfig.of(class_names_file=str(path)).data)

    return from_content


def test_a_name_a_line_with_a_description_after_a_tab(read):
    classes = read("\ufeffred_fox\tan animal with a tail\n\n  oak \n")
    assert classes.names == ("red_fox", "oak")
    assert classes.descriptions == ("an animal with a tail", "oak")


def test_without_a_file_there_are_none():
    assert read_classes(RunConfig.of().data) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "names no class"),
        ("a\n\tonly a description\n", "line 2, has no name before the tab"),
        ("a\nb\na \n", "classes 'a' and 'a' look the same"),
        (b"\xff\xfe\xff", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(read, content, message):
    with pytest.raises(DataError, match=rf"classes\.txt'.*{message}"):
        read(content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt' cannot be read"):
        read_classes(RunConfig.of(class_names_file=str(tmp_path / "none.txt")).data)


def test_classes_that_occur_are_sorted_numbers_as_numbers():
    assert classes_of(["b", "a", "b"]).names == ("a", "b")
    assert classes_of(["10", "9", "-1"]).names == ("-1", "9", "10")
    assert classes_of(["10", "9", "x"]).names == ("10", "9", "x")
    assert classes_of([]).names == ()


def test_labels_that_look_the_same_are_one_class():
    assert len(classes_of(["Bl\u00fcte", "Blu\u0308te", "Bl\u00fcte\u200b"]).names) == 1


def test_the_index_knows_each_way_to_write_a_name():
    index = class_index(["Bl\u00fcte", "oak"], "here")
    assert list(index.values()) == [0, 1]
    with pytest.raises(DataError, match=r"here: the classes .* look the same"):
        class_index(["Bl\u00fcte", "oak", "Blu\u0308te"], "here")


def test_names_become_descriptions():
    assert describe("red_fox  in_snow") == "red fox in snow"
    assert named_classes(["red_fox"]).descriptions == ("red fox",)
