"""The rows of the fault table: kept by part on disk, and written into the page."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from reliability.federation import REPOSITORY
from reliability.pages import replace_between

PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
NOTHING_LOST = "none"
_HEADS = ("fault", "what happened", "rounds lost", "data lost", "normal again")


@dataclass
class Row:
    """One line of the table.

    Attributes:
        fault: what was done.
        happened: what followed.
        rounds_lost: finished rounds that had to be trained again.
        normal_after: when all was as before.
        as_it_must_be: whether it ended as it must.
        data_lost: what is missing of the nodes' data.
    """

    fault: str
    happened: str
    rounds_lost: str
    normal_after: str
    as_it_must_be: bool = True
    data_lost: str = NOTHING_LOST


def data_digest(folders: Iterable[Path]) -> str:
    """Hex SHA-256 of names and contents of all that the nodes own."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def samples_by_node(caches: Iterable[Path]) -> list[set[int]]:
    """The numbers of samples that each node has trained on; one each, if none ever went missing."""
    found = []
    for cache in caches:
        counts = set()
        with suppress(FileNotFoundError):
            for line in (cache / "events.jsonl").read_text(encoding="utf-8").splitlines():
                event = json.loads(line)
                if event.get("event") == "train" and "samples" in event:
                    counts.add(int(event["samples"]))
        found.append(counts)
    return found


def data_lost(before: str, folders: Sequence[Path], caches: Sequence[Path]) -> str:
    """Whether the nodes' data is what it was, and every round used all of it.

    Args:
        before: `data_digest` of the folders at the beginning.
        folders: the nodes' data.
        caches: folders that the nodes write to.
    """
    if data_digest(folders) != before:
        return "**the nodes' folders have changed**"
    several = [counts for counts in samples_by_node(caches) if len(counts) > 1]
    return f"**samples differ between rounds: {several}**" if several else NOTHING_LOST


def store(folder: Path, part: str, rows: Sequence[Row]) -> None:
    """Keep the rows of a part, so that parts can be run one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=2)
    (folder / f"{part}.json").write_text(text, encoding="utf-8")


def stored(folder: Path, parts: Iterable[str]) -> list[Row]:
    """The rows of all parts that were run, in the order of `parts`."""
    rows = []
    for part in parts:
        path = folder / f"{part}.json"
        if path.exists():
            rows += [Row(**values) for values in json.loads(path.read_text(encoding="utf-8"))]
    return rows


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(_HEADS)} |", "|" + "---|" * len(_HEADS)]
    for row in rows:
        mark = "" if row.as_it_must_be else " **(not as it must be)**"
        cells = (row.fault, row.happened, row.rounds_lost, row.data_lost, row.normal_after)
        texts = [cell.replace("|", "\\|").replace("\n", " ") for cell in cells]
        texts[1] += mark
        lines.append(f"| {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Replace the table in the page."""
    replace_between(page, BEGIN, END, table(rows))
