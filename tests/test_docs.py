"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/*.md")])
FOLDERS = "fedmvp_flwr|client_app|server_app|tests|docs|experiments|reliability|benchmarks|docker"
PATH = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`")
MADE_BY_USERS = {"docker/.env"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_in_a_document_is_there(page):
    named = set(PATH.findall(page.read_text(encoding="utf-8"))) - MADE_BY_USERS
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_tests_of_a_room_lie_in_a_folder_of_its_name():
    rooms = {path.parent for path in (ROOT / "fedmvp_flwr").rglob("__init__.py")}
    names = {path.relative_to(ROOT / "fedmvp_flwr").as_posix() for path in rooms}
    others = {"apps", "assets", "client_app", "examples", "reliability", "server_app"}
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    there = {path.relative_to(ROOT / "tests").as_posix() for path in folders}
    assert there - others <= names
