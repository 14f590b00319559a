"""Many rounds on three real nodes: does anything grow? `python -m reliability.endurance --write`.

Memory, open files and disk of every process that lives longer than a message are looked at after
each round and written to a CSV file at once; table and picture of docs/reliability.md are made from
it, also when the rounds were not finished (`--report FILE --write`). What grew by more than
`reliability.growth` allows is named, and the exit status is 1.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from reliability.federation import (
    REPOSITORY,
    Federation,
    deployed,
    ended,
    rounds,
    temporary_folder,
)
from reliability.flora import export, settings
from reliability.growth import (
    CPU,
    DISK,
    FILES,
    MEMORY,
    MIN_ROUNDS,
    Sample,
    draw,
    grown,
    read_samples,
    report,
)
from reliability.outcome import completed, read_result
from reliability.pages import replace_between
from reliability.processes import end_on_sigterm, family

_PAGES = REPOSITORY / "docs"
BEGIN, END = "<!-- endurance: begin -->\n", "<!-- endurance: end -->\n"
# By the name of the program, or of the module that Python was told to run.
_PROGRAMS = {
    "flower-superlink": "flower-superlink",
    "fedmvp_flwr.deploy.superlink": "flower-superlink",
    "flower-supernode": "flower-supernode",
    "fedmvp_flwr.deploy.supernode": "flower-supernode",
    "flower-superexec": "flower-superexec",
    "flwr-serverapp": "flwr-serverapp",
}
_PROGRAM_WORDS = 3  # of the command line: python -m MODULE
_STALLED = 1800.0  # seconds without a round
_POLL = 1.0


def main() -> int:
    """Run the rounds, or report on a file; 0 if the run completed and nothing grew too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--rounds", type=int, default=200, help=f"growth is judged from {MIN_ROUNDS} on"
    )
    parser.add_argument("--csv", type=Path, default=Path("runs/endurance.csv"))
    parser.add_argument("--report", type=Path, help="only report on this file of an earlier run")
    parser.add_argument("--write", action="store_true", help="put table and picture into docs/")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    arguments = parser.parse_args()
    problems: list[str] = []
    source = arguments.report
    if source is None:
        source = arguments.csv
        source.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder() as temporary:
            root = arguments.keep or Path(temporary)
            root.mkdir(parents=True, exist_ok=True)
            problems = endure(root, arguments.rounds, source)
    found = read_samples(source)
    problems += grown(found)
    table = report(found)
    print(table + json.dumps({"judged": len(found) >= MIN_ROUNDS, "problems": problems}))
    if arguments.write:
        replace_between(_PAGES / "reliability.md", BEGIN, END, table)
        draw(found, _PAGES / "endurance.png")
    return int(bool(problems))


def endure(root: Path, number: int, target: Path) -> list[str]:
    """Run the rounds and write a line per round; return what went wrong."""
    folders = export(root / "data")
    out = root / "out"
    with deployed(root, folders) as federation:
        config = settings(root, folders, num_server_rounds=number, evaluate_every=number)
        run_id = federation.submit(config)
        with target.open("w", encoding="utf-8") as file:
            for sample in samples(federation, out, number):
                if not file.tell():
                    file.write(",".join(sample) + "\n")
                file.write(",".join(f"{value:g}" for value in sample.values()) + "\n")
                file.flush()
        status = federation.wait(run_id, out)
    return completed(status, read_result(out), out, number)


def samples(federation: Federation, out: Path, number: int) -> Iterator[Sample]:
    """A sample after each round, all with the same columns; ends early if no round follows."""
    began = last = time.monotonic()
    done = 0
    columns: list[str] = []
    while done < number and not ended(out) and time.monotonic() - last < _STALLED:
        time.sleep(_POLL)
        trained = rounds(out)
        if not trained or trained[-1] == done:
            continue
        done, last = trained[-1], time.monotonic()
        found = measure(federation)
        columns = columns or list(found)
        nothing = float("nan")
        yield {
            "round": done,
            "seconds": round(last - began, 1),
            **{name: found.get(name, nothing) for name in columns},
        }


def measure(federation: Federation) -> Sample:
    """Bytes of memory, open files and bytes of disk of all that lives longer than a message.

    Seconds of CPU count those of the ended ClientApps as well.
    """
    found: Sample = {}
    services = {"superlink": federation.superlink, **federation.nodes}
    for name, service in services.items():
        pids = family(service.pid) if service else []
        found[f"{CPU} {name}"] = cpu_seconds(pids)
        for pid in pids:
            program = program_of(pid)
            if program:
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    found[f"{MEMORY} {name} {program}"] = process.memory_info().rss
                    found[f"{FILES} {name} {program}"] = process.num_fds()
    for name, folder in folders_of(federation).items():
        found[f"{DISK} {name}"] = disk_bytes(folder)
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Seconds of CPU that processes have used, and those of their children that have ended."""
    total = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            used = psutil.Process(pid).cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total


def program_of(pid: int) -> str:
    """Which long-lived program of Flower a process is; empty for all others."""
    with suppress(psutil.Error):
        for word in psutil.Process(pid).cmdline()[:_PROGRAM_WORDS]:
            if Path(word).name in _PROGRAMS:
                return _PROGRAMS[Path(word).name]
    return ""


def folders_of(federation: Federation) -> dict[str, Path]:
    """All that a deployment writes to."""
    root = federation.root
    nodes = {f"{name} cache": spec.cache for name, spec in federation.specs.items()}
    flower = {f"{name} flwr": root / f"flwr-{name}" for name in federation.specs}
    return {"superlink state": root / "state", "results": root / "out", **nodes, **flower}


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
