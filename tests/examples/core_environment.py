"""An import path that holds what `pip install WHEEL` would bring, and nothing else.

The distributions that the wheel and the example require, with all that these require, are linked
out of the environment of the tests into one folder. An interpreter without its own site-packages
that has this folder on its path cannot import any extra.
"""

import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "strategy_reuse"
_PROJECT = "fedmvp-flwr"


def build_wheel(folder: Path) -> Path:
    """Build the wheel of the project as anybody would, with the tools that are installed."""
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    _run([*command, "--outdir", str(folder), str(REPOSITORY)])
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, target: Path) -> None:
    """Install the wheel alone into a folder; nothing is downloaded."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    _run([*command, "--no-compile", "--target", str(target), str(wheel)])


def link_requirements(target: Path, installed: Path) -> set[str]:
    """Link what the installed wheel and the example require; return the names of all that."""
    (metadata,) = installed.glob("fedmvp_flwr-*.dist-info")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    roots = [*(PathDistribution(metadata).requires or []), *project["dependencies"]]
    distributions = _closure(Requirement(text) for text in roots)
    target.mkdir()
    for found in distributions.values():
        site = Path(str(found.locate_file("")))
        for name in {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            link = target / name
            if (site / name).exists() and not link.exists():  # a namespace is shared
                link.symlink_to(site / name)
    return set(distributions)


def _closure(roots: Iterable[Requirement]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(root, "") for root in roots]
    while queue:
        requirement, of_extra = queue.pop()
        name = canonicalize_name(requirement.name)
        needed = requirement.marker is None or requirement.marker.evaluate({"extra": of_extra})
        if not needed or name == _PROJECT:
            continue
        found.setdefault(name, distribution(name))
        for extra in {"", *requirement.extras}:
            if (name, extra) not in seen:
                seen.add((name, extra))
                queue += [(Requirement(text), extra) for text in found[name].requires or []]
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
