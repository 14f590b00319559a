"""The classes of a data set: from a file, from a source, or from the labels that there are."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.files import expanded
from fedmvp_flwr.config.data import DataSettings
from fedmvp_flwr.data.reading.cells import is_empty, same_name

_NUMBER = re.compile(r"-?\d{1,640}")  # Python refuses to read longer ones, where it is set so


@dataclass(frozen=True)
class Classes:
    """Class names in the order of the labels, each with a public description."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]


def read_classes(data: DataSettings) -> Classes | None:
    """Read `class-names-file`, if there is one.

    Raises:
        DataError: it cannot be read, has a line without a name, no name, or two that look the same.
    """
    if not data.class_names_file:
        return None
    path = expanded(data.class_names_file)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"class-names-file='{path}' cannot be read ({error}).") from error
    names, descriptions = [], []
    for number, line in enumerate(lines, 1):
        name, _, text = line.partition("\t")
        if is_empty(line):
            continue
        if is_empty(name):
            raise DataError(
                f"class-names-file='{path}', line {number}, has no name before the tab. Write "
                "the name of a class, then a tab, then its description."
            )
        names.append(name.strip())
        descriptions.append(text.strip() or describe(name.strip()))
    if not names:
        raise DataError(f"class-names-file='{path}' names no class.")
    class_index(names, f"class-names-file='{path}'")
    return Classes(tuple(names), tuple(descriptions))


def named_classes(names: Sequence[str]) -> Classes:
    """Classes that have names alone."""
    return Classes(tuple(names), tuple(describe(name) for name in names))


def describe(name: str) -> str:
    """The class name in words, where nothing better is known."""
    return " ".join(name.replace("_", " ").split())


def classes_of(labels: Iterable[str]) -> Classes:
    """The classes that occur, sorted, numbers as numbers; those that look the same are one."""
    variants: dict[str, set[str]] = {}
    for label in labels:
        variants.setdefault(same_name(label), set()).add(label)
    names = [
        min(labels, key=lambda label: (len(label), label)) if same not in labels else same
        for same, labels in variants.items()
    ]
    numbers = all(_NUMBER.fullmatch(name) for name in names)
    return named_classes(sorted(names, key=(lambda x: (int(x), x)) if numbers else None))


def class_index(names: Sequence[str], where: str) -> dict[str, int]:
    """Number of each class by what `same_name` makes of its name.

    Args:
        names: in the order of the labels.
        where: what gave the names, for the message.

    Raises:
        DataError: two names look the same.
    """
    index: dict[str, int] = {}
    for number, name in enumerate(names):
        first = index.setdefault(same_name(name), number)
        if first != number:
            raise DataError(
                f"{where}: the classes {names[first]!a} and {name!a} look the same "
                "(perhaps another composition of accents, or characters of no width). Name them "
                "apart, or make them one."
            )
    return index
