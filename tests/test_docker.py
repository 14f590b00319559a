"""The container files say what the documents promise. No engine is needed, none is started."""

import os
import re
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra 'foundation'")

DOCKER = Path(__file__).resolve().parents[1] / "docker"
SCRIPTS = sorted((DOCKER / "scripts").glob("*.sh"))


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


def test_every_service_is_locked_down(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["user"] == "${FEDMVP_UID:-10001}:${FEDMVP_GID:-10001}", name
        assert service["init"] is True, name
        assert "privileged" not in service, name


def test_services_that_stay_have_limits_health_and_restart(compose):
    for name in ("superlink", "node-0", "node-1", "node-2"):
        service = compose["services"][name]
        assert service["restart"] == "unless-stopped", name
        assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys(), name


def test_what_steers_the_superlink_shares_its_network(compose):
    """The SuperLink refuses everything but nodes' requests from other addresses than its own."""
    for name in ("register", "cli"):
        service = compose["services"][name]
        assert service["network_mode"] == "service:superlink", name
    assert compose["services"]["register"]["environment"]["FEDMVP_SUPERLINK"] == "localhost:8000"
    for number in range(3):
        assert "network_mode" not in compose["services"][f"node-{number}"]


def test_what_is_mounted_is_declared(compose):
    for service in compose["services"].values():
        assert {secret["source"] for secret in service.get("secrets", ())} <= compose[
            "secrets"
        ].keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("$") or source in compose["volumes"], volume


def test_a_node_gets_its_own_key_and_data_and_no_other(compose):
    for number in range(3):
        service = compose["services"][f"node-{number}"]
        sources = {secret["source"] for secret in service["secrets"]}
        assert sources == {"ca_certificate", f"node_{number}_key"}
        data = [volume for volume in service["volumes"] if volume.endswith(":/data:ro")]
        assert len(data) == 1
        assert f"FEDMVP_DATA_{number}" in data[0]


def test_every_variable_is_in_the_example(compose):
    text = "".join((DOCKER / name).read_text() for name in ("compose.yaml", "compose.gpu.yaml"))
    used = set(re.findall(r"\$\{(\w+)", text))
    example = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE))
    assert used == example


def test_commands_are_scripts_that_are_there(compose):
    for service in compose["services"].values():
        program = Path(service["command"][0])
        if program.is_absolute():
            assert DOCKER / "scripts" / program.name in SCRIPTS


def test_the_image_runs_as_somebody_and_copies_no_secret():
    text = (DOCKER / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE)[-1] == "10001:10001"
    sources = [
        word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()
    ]
    assert not any("key" in word or "pem" in word or word == "." for word in sources)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_executable_shell(script):
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0


def test_no_secret_is_tracked():
    root = DOCKER.parent
    done = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    names = [Path(name).name for name in done.stdout.splitlines()]
    assert not [name for name in names if name.endswith((".key", ".pem", ".crt")) or name == ".env"]
