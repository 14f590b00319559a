"""How the service scripts start Flower: with a program that tells it instead."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "docker" / "scripts"
TELL = f"""#!{sys.executable}
import json, os, sys
mask = os.umask(0)
print(json.dumps({{"words": sys.argv[1:], "env": dict(os.environ), "umask": mask}}))
"""


@pytest.fixture
def start(tmp_path):
    """Run a script whose `python` and `flwr` tell how they were called; its answer and status."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("python", "flwr"):
        (programs / name).write_text(TELL)
        (programs / name).chmod(0o755)
    folders = {
        f"FEDMVP_{name}": str(tmp_path / name.lower())
        for name in ("CERTIFICATES", "STATE", "NODE_KEY", "DATA", "CACHE")
    }
    env = {"PATH": f"{programs}:/usr/bin:/bin", "FEDMVP_NODE_NAME": "ward-7"} | folders

    def run(script, *arguments, **changes):
        command = [str(SCRIPTS / script), *arguments]
        return subprocess.run(
            command, env=env | changes, capture_output=True, text=True, check=False, cwd=tmp_path
        )

    return run


@pytest.mark.parametrize("script", ["supernode.sh", "superlink.sh"])
def test_nothing_is_told_to_others_and_files_are_the_owners_alone(start, script):
    done = start(script)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["words"][:2] == ["-m", "fedmvp_flwr.deploy.supervise"]
    assert told["env"]["FLWR_TELEMETRY_ENABLED"] == "0"
    assert told["env"]["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert told["umask"] == 0o077


@pytest.mark.parametrize("script", ["supernode.sh", "superlink.sh"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"NO_PROXY": "ward.example"}, "ward.example,localhost,127.0.0.1"),
        ({"no_proxy": "ward.example"}, "ward.example,localhost,127.0.0.1"),
    ],
    ids=["none", "upper case", "lower case"],
)
def test_a_machines_own_addresses_are_reached_past_a_proxy(start, script, given, expected):
    env = json.loads(start(script, **given).stdout)["env"]
    assert env["NO_PROXY"] == env["no_proxy"] == expected


@pytest.mark.parametrize(
    ("script", "key"),
    [
        ("supernode.sh", "FEDMVP_DATA"),
        ("supernode.sh", "FEDMVP_CACHE"),
        ("supernode.sh", "FEDMVP_NODE_KEY"),
        ("superlink.sh", "FEDMVP_STATE"),
        ("superlink.sh", "FEDMVP_CERTIFICATES"),
    ],
)
def test_a_relative_path_is_refused(start, script, key):
    done = start(script, **{key: "here/below"})
    assert done.returncode == 2
    assert "'here/below" in done.stderr
    assert "is not absolute" in done.stderr


def test_settings_of_another_flower_are_not_replaced(start, tmp_path):
    folder = tmp_path / "flwr-home"
    folder.mkdir()
    theirs = '[superlink]\ndefault = "theirs"\n'
    (folder / "config.toml").write_text(theirs)
    (tmp_path / "secrets" / "nodes").mkdir(parents=True)
    done = start("register.sh", "secrets", "node-0", FLWR_HOME=str(folder))
    assert done.returncode == 1
    assert "is not ours" in done.stderr
    assert (folder / "config.toml").read_text() == theirs


def test_nodes_are_registered_from_a_relative_folder_and_twice(start, tmp_path):
    (tmp_path / "secrets" / "nodes").mkdir(parents=True)
    for _ in range(2):
        done = start("register.sh", "secrets", "node-0", FLWR_HOME="cli")
        assert done.returncode == 0, done.stderr
        written = (tmp_path / "cli" / "config.toml").read_text()
        assert f'root-certificates = "{tmp_path}/secrets/ca.crt"' in written
    assert os.listdir(tmp_path / "cli" / "nodes") == ["node-0"]
