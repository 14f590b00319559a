"""The rooms of the house, measured on the imports: `python docs/rooms.py [--write | --check]`.

A room is a folder of `fedmvp_flwr`, or an app. It stands one floor above the highest room that it
imports. `--write` draws the picture in docs/architecture.md anew; `--check` fails if it is no
longer that of the imports, or if rooms import each other in a circle.
"""

import ast
import sys
from itertools import pairwise
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
LIBRARY = "fedmvp_flwr"
PACKAGES = (LIBRARY, "client_app", "server_app")
_BEGIN, _END = "<!-- rooms: python docs/rooms.py --write -->", "<!-- end of the rooms -->"

Arrows = dict[str, set[str]]


def room_of(module: str) -> str:
    """The room that a module lies in; the face of the library itself is none."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == LIBRARY else parts[0]


def arrows() -> Arrows:
    """The rooms that each room imports."""
    sys.path.insert(0, str(ROOT))
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    found: Arrows = {room_of(module): set() for module in graph.modules}
    for module in graph.modules:
        for other in graph.find_modules_directly_imported_by(module):
            found[room_of(module)].add(room_of(other))
    del found[LIBRARY]  # it only hands names on
    return {room: others - {room, LIBRARY} for room, others in found.items()}


def floors(rooms: Arrows) -> dict[str, int]:
    """The floor of each room, 1 for those that import no other.

    Raises:
        ValueError: rooms import each other in a circle; names them.
    """
    found: dict[str, int] = {}
    while left := rooms.keys() - found.keys():
        ready = [room for room in left if rooms[room] <= found.keys()]
        if not ready:
            raise ValueError(f"Rooms import each other in a circle, among {sorted(left)}.")
        found |= {
            room: 1 + max((found[other] for other in rooms[room]), default=0) for room in ready
        }
    return found


def needed(rooms: Arrows) -> list[tuple[str, str]]:
    """The arrows that no longer way stands for: what the picture shows."""

    def below(room: str) -> set[str]:
        return rooms[room].union(*(below(other) for other in rooms[room]))

    return sorted(
        (room, other)
        for room, others in rooms.items()
        for other in others
        if not any(other in below(way) for way in others - {other})
    )


def picture() -> str:
    """The rooms as a Mermaid flow chart with a table of their rules, in Markdown."""
    rooms = arrows()
    level = floors(rooms)
    lines = [
        f"{len(rooms)} rooms on {max(level.values())} floors, "
        f"{sum(map(len, rooms.values()))} arrows between them, no circle, none upwards. "
        "An arrow that a longer way stands for is not drawn.",
        "",
        "```mermaid",
        "flowchart TB",
    ]
    by_floor = [
        sorted(room for room, its in level.items() if its == floor)
        for floor in range(max(level.values()), 0, -1)
    ]
    for number, names in enumerate(by_floor):
        lines.append(f"  subgraph floor{number}[ ]\n    direction LR")
        lines += [f"    {_key(room)}[{_name(room)}]" for room in names]
        lines.append("  end")
    lines += [f"  {_key(room)} --> {_key(other)}" for room, other in needed(rooms)]
    lines += [f"  floor{a} ~~~ floor{b}" for a, b in pairwise(range(len(by_floor)))]
    lines += ["  classDef default rx:4,ry:4;", "```", ""]
    lines += ["| floor | room | its rule |", "|---|---|---|"]
    lines += [
        f"| {level[room]} | `{room.replace('.', '/')}/` | {_rule(room)} |"
        for names in by_floor
        for room in names
    ]
    return "\n".join(lines)


def _key(room: str) -> str:
    return room.replace(".", "_")


def _name(room: str) -> str:
    return room.removeprefix(f"{LIBRARY}.")


def _folder(room: str) -> Path:
    return ROOT / room.replace(".", "/")


def _rule(room: str) -> str:
    text = ast.get_docstring(ast.parse((_folder(room) / "__init__.py").read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def main() -> int:
    """Print, write or check the picture; 1 if the page shows another one."""
    now = picture()
    if "--write" not in sys.argv and "--check" not in sys.argv:
        sys.stdout.write(f"{now}\n")
        return 0
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    page = f"{before}{_BEGIN}\n{now}\n{_END}{rest.partition(_END)[2]}"
    if "--write" in sys.argv:
        PAGE.write_text(page)
    elif page != PAGE.read_text():
        sys.stderr.write("docs/architecture.md shows other rooms: python docs/rooms.py --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
