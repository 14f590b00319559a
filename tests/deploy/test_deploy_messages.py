"""Each message in the troubleshooting table of docs/deploy.md is one that this code can give."""

import ast
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploy.md"
OURS = ("fedmvp_flwr", "client_app", "server_app", "docker/scripts")
OTHERS = ("flwr.cli", "flwr.supernode", "flwr.supercore.error", "httpx")
OF_OPENSSL = {"CERTIFICATE_VERIFY_FAILED"}  # in compiled code
VALUE = "\0"  # of an f-string


def messages():
    table = PAGE.read_text(encoding="utf-8").partition("## When it does not work")[2]
    return re.findall(r"^\| `(.+?)` ", table.partition("\n## ")[0], re.MULTILINE)


def folders():
    for name in OURS:
        yield ROOT / name
    for name in OTHERS:
        yield Path(importlib.util.find_spec(name).submodule_search_locations[0])


@lru_cache
def texts():
    """All string literals of the code, f-strings with their values left open; and the scripts."""
    found = []
    for folder in folders():
        found += [path.read_text() for path in sorted(folder.glob("*.sh"))]
        for path in sorted(folder.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (v.value if isinstance(v, ast.Constant) else VALUE for v in node.values)
                    found.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"\{[\w.]*\}", VALUE, node.value))
    return found


def pattern(message):
    """What a literal must look like to give the message: numbers and quoted words may be values."""
    parts = []
    for part in re.split(r"('[^']*'|\d+)", message):
        if part.isdigit():
            parts.append(f"(?:{part}|{VALUE})")
        elif part.startswith("'"):
            parts.append(f"'(?:{re.escape(part[1:-1])}|{VALUE}( {VALUE})?)'")
        else:
            parts.append(re.escape(part))
    return re.compile("".join(parts))


@pytest.mark.parametrize("message", messages())
def test_a_message_of_the_table_exists(message):
    if message in OF_OPENSSL:
        return
    sought = pattern(message.replace("Server error", "{}").replace("{}", VALUE))
    assert any(sought.search(text) for text in texts()), message


def test_the_table_is_there():
    assert len(messages()) > 15


def test_the_search_finds_no_message_that_nobody_gives():
    for message in ("Only 1 of at least 2 nodes disconnected", "[kode: 2004]"):
        assert not any(pattern(message).search(text) for text in texts())


def test_the_codes_mean_what_the_table_says():
    from flwr.supercore.error.base import ApiErrorCode

    assert ApiErrorCode.FLEET_SUPERNODE_REGISTRATION_DISABLED == 2001
    assert ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED == 2004
