"""constraints-lowest.txt holds the lower bounds of pyproject.toml; constraints.txt fits them."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
_NOT_AT_ITS_BOUND = {"torch"}  # see the head of constraints-lowest.txt


def _declared() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(text) for group in groups for text in group]
    return {
        canonicalize_name(item.name): item
        for item in requirements
        if canonicalize_name(item.name) != project["name"]
    }


def _pinned(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): version for package, version in pins}


def _lower_bound(requirement: Requirement) -> str:
    (bound,) = [item.version for item in requirement.specifier if item.operator in (">=", "==")]
    return bound


def test_each_line_is_the_lower_bound_of_a_dependency():
    declared, lowest = _declared(), _pinned("constraints-lowest.txt")
    assert lowest.keys() == declared.keys()
    bounds = {name: _lower_bound(declared[name]) for name in lowest.keys() - _NOT_AT_ITS_BOUND}
    assert {name: lowest[name] for name in bounds} == bounds


@pytest.mark.parametrize("constraints", ["constraints.txt", "constraints-lowest.txt"])
def test_the_tested_versions_are_allowed(constraints):
    pinned = _pinned(constraints)
    outside = [
        f"{name}=={pinned[name]}"
        for name, requirement in _declared().items()
        if not requirement.specifier.contains(pinned[name])
    ]
    assert outside == []


def test_every_dependency_has_both_bounds():
    project_specifiers = {name: item.specifier for name, item in _declared().items()}
    open_ended = [
        name
        for name, specifier in project_specifiers.items()
        if not any(item.operator in ("<", "==") for item in specifier)
    ]
    assert open_ended == []
