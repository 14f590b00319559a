"""Which class the label of an entry is, or what is wrong with it."""

from collections.abc import Sequence

from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.data.reading import findings as found
from fedmvp_flwr.data.reading.cells import BadCell, same_name
from fedmvp_flwr.data.reading.classes import class_index
from fedmvp_flwr.data.reading.findings import Findings

_LONGEST = 60  # characters of a label that are compared and shown


class LabelFinder:
    """Finds classes by the names that labels give them.

    The nearest class is looked for once for each unknown label, and for no more labels than
    messages show: comparing thousands with all classes would take minutes.

    Args:
        names: of the classes, in their order.
        findings: takes what is no label of these.

    Raises:
        DataError: two classes look the same.
    """

    def __init__(self, names: Sequence[str], findings: Findings) -> None:
        self._names = names
        self._findings = findings
        self._index = class_index(names, f"dataset='{findings.source}'")
        self._hints: dict[str, str] = {}

    def find(self, label: str | None, where: str) -> int | None:
        """Number of the class; None where there was a finding, which names `where`."""
        if label is None:
            self._findings.add(found.NO_LABEL, where)
        elif isinstance(label, BadCell):
            self._findings.add(found.NO_CELL, where, f"label {label} is no name or number")
        elif (number := self._index.get(same_name(label))) is None:
            what = f"'{label[:_LONGEST]}' is none of the {len(self._names)} classes"
            self._findings.add(found.UNKNOWN_LABEL, where, what + self._hint(label))
        else:
            return number
        return None

    def _hint(self, label: str) -> str:
        if label not in self._hints:
            if len(self._hints) >= found.SHOWN:
                return ""
            self._hints[label] = did_you_mean(label[:_LONGEST], self._names)
        return self._hints[label]
