"""Each module of the product has the test file of its name, in the same place below `tests/`."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
LIBRARY, APPS = "fedmvp_flwr", ("client_app", "server_app")
NOT_ONE_MODULE = {
    "completion/test_gate_encoder.py": "the gate's own encoder, through the whole preparation",
    "completion/test_several_requests.py": "several owners' requests, through all passes",
    "data/sources/test_folder_splits.py": "splits that a folder's own folders tell",
    "data/test_extensions.py": "one more source, partition and pattern of holes",
    "data/test_random_values.py": "cells of any content, through the whole reading",
    "deploy/test_certificates.py": "a shell script",
    "deploy/test_deploy_messages.py": "the guide's table of messages",
    "deploy/test_docker.py": "the folder docker/",
    "deploy/test_service_scripts.py": "shell scripts and units",
    "reporting/test_html_input.py": "the whole page, from values that nobody expects",
    "reporting/test_html_partial.py": "the whole page of a run that is not over",
    "simulation/test_real_runs.py": "whole runs in Flower's processes",
}
"""Tests of a whole room, or of what is no module, and of what."""


def does_something(module):
    """Whether a module has a function or class, and not names alone."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in body)


def own_tests():
    """Test file and module, both relative, of each module."""
    found = {}
    for top in (LIBRARY, *APPS):
        for module in (ROOT / top).rglob("*.py"):
            if module.name not in ("__init__.py", "__main__.py"):
                place = module.relative_to(ROOT / top if top == LIBRARY else ROOT)
                found[place.with_name(f"test_{place.name}").as_posix()] = module.relative_to(ROOT)
    return found


def test_each_module_has_the_test_file_of_its_name():
    missing = [
        f"{module}: tests/{test}"
        for test, module in own_tests().items()
        if does_something(ROOT / module) and not (TESTS / test).is_file()
    ]
    assert not missing, "modules without their test file:\n" + "\n".join(sorted(missing))


def test_each_test_file_of_a_room_belongs_to_a_module_or_says_what_it_is_of():
    own = own_tests()
    rooms = {test.partition("/")[0] for test in own if "/" in test}
    there = {
        path.relative_to(TESTS).as_posix()
        for room in rooms
        for path in (TESTS / room).rglob("test_*.py")
    }
    strange = sorted(there - own.keys() - NOT_ONE_MODULE.keys())
    assert not strange, "tests of no module; move them, or list them above:\n" + "\n".join(strange)
    stale = sorted(NOT_ONE_MODULE.keys() - (there - own.keys()))
    assert not stale, "listed, but gone or of a module:\n" + "\n".join(stale)
