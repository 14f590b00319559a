"""The commands of a guide: fenced shell blocks of a Markdown page, with HTML comments about them.

    <!-- run: server -->                       run on this machine
    <!-- run: node-0 node-1 -->                run on each, with the first one's name exchanged
    <!-- run: server, service superlink -->    stays, and is started again when it ends
    <!-- run: server, job training -->         goes on by itself, and ends by itself
    <!-- not run: REASON -->                   for the reader alone
    <!-- check: NAME ARGUMENT... -->           between two blocks

A shell block without such a comment is an error, so that no command stays untried by mistake.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["command", "service", "job"]

_COMMENT = re.compile(r"<!-- (run|not run|check): (.*?) -->")
_FENCE = "```"
_SHELL = ("sh", "bash", "")  # a fence without a language may hold commands as well


class GuideError(Exception):
    """The page is not in the form that can be run, or what it says does not happen."""


@dataclass(frozen=True)
class Block:
    """Commands to run.

    Attributes:
        line: where they are in the page.
        machines: on which ones.
        kind: run to the end, kept up, or left to itself.
        name: of a service or job; empty: the machine's.
        text: the commands as they stand.
    """

    line: int
    machines: tuple[str, ...]
    kind: Kind
    name: str
    text: str


@dataclass(frozen=True)
class Check:
    """Something to do or to look at between two blocks."""

    line: int
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Untried:
    """Commands that are not run, and why."""

    line: int
    reason: str


Step = Block | Check | Untried


def steps(page: str) -> list[Step]:
    """All that a page wants done, in its order.

    Raises:
        GuideError: a shell block without a comment, or a comment without a block.
    """
    return list(_steps(page))


def _steps(page: str) -> Iterator[Step]:
    pending: tuple[int, str, str] | None = None
    lines = iter(enumerate(page.splitlines(), start=1))
    for number, line in lines:
        comment = _COMMENT.fullmatch(line.strip())
        if comment and comment[1] == "check":
            name, *arguments = comment[2].split()
            yield Check(number, name, tuple(arguments))
        elif comment:
            if pending:
                raise GuideError(f"line {pending[0]}: no block follows")
            pending = (number, comment[1], comment[2])
        elif line.startswith(_FENCE):
            language = line.removeprefix(_FENCE).strip()
            text = "".join(f"{inner}\n" for inner in _inside(lines, number))
            if pending is None and language in _SHELL:
                raise GuideError(f"line {number}: a block that says neither 'run' nor 'not run'")
            if pending is not None:
                yield _block(*pending, text)
            pending = None
    if pending:
        raise GuideError(f"line {pending[0]}: no block follows")


def _inside(lines: Iterator[tuple[int, str]], start: int) -> Iterator[str]:
    for _, line in lines:
        if line.startswith(_FENCE):
            return
        yield line
    raise GuideError(f"line {start}: the block does not end")


def _block(line: int, what: str, about: str, text: str) -> Block | Untried:
    if what == "not run":
        return Untried(line, about)
    where, _, how = about.partition(",")
    kind, _, name = how.strip().partition(" ")
    if kind not in ("", "service", "job"):
        raise GuideError(f"line {line}: '{kind}' is neither service nor job")
    machines = tuple(where.split())
    if not machines:
        raise GuideError(f"line {line}: on which machine?")
    return Block(line, machines, kind or "command", name, text)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Names:
    """What stands for the names of the guide on one machine.

    Attributes:
        prefix: the folder of the guide, at the beginning of a path.
        folders: by machine: what stands for that folder there.
        hosts: other names and ports, as text for text.
    """

    prefix: str
    folders: dict[str, str]
    hosts: dict[str, str]

    def on(self, machine: str, block: Block) -> str:
        """The commands of a block as they are run for one machine."""
        text = re.sub(rf"\b{re.escape(block.machines[0])}\b", machine, block.text)
        for name, folder in self.folders.items():
            text = text.replace(f"{name}:{self.prefix}", folder)
        text = text.replace(self.prefix, self.folders[machine])
        for name, other in self.hosts.items():
            text = text.replace(name, other)
        return text
