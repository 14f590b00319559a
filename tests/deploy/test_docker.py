"""The container files say what the documents promise. No engine is needed, none is started."""

import os
import re
import subprocess
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML comes with the extra 'foundation'")

DOCKER = Path(__file__).resolve().parents[2] / "docker"
SCRIPTS = sorted((DOCKER / "scripts").glob("*.sh"))
WITH_SERVER = ("compose.yaml", "compose.server.yaml")
WITH_NODES = ("compose.yaml", "compose.node.yaml")
WHOLE = ("compose.yaml", "compose.server.yaml", "compose.node.yaml")
GPU = {"compose.gpu.yaml": "compose.yaml", "compose.node.gpu.yaml": "compose.node.yaml"}
BASE = "compose.base.yaml"
VARIABLE = re.compile(r"\$\{(\w+)")


def read(name):
    return yaml.safe_load((DOCKER / name).read_text())


def merged(base, more):
    """As compose merges: mappings by key, lists one after the other, the rest is replaced."""
    if isinstance(base, dict) and isinstance(more, dict):
        both = {k: merged(base[k], more[k]) for k in base.keys() & more.keys()}
        return base | more | both
    return base + more if isinstance(base, list) and isinstance(more, list) else more


def load(name):
    """A file with what its services extend."""
    model = read(name)
    for service, values in model["services"].items():
        extends = values.pop("extends", None)
        if extends:
            base = read(extends["file"])["services"][extends["service"]]
            model["services"][service] = merged(base, values)
    return model


def nodes(compose):
    return {name: s for name, s in compose["services"].items() if name.startswith("node")}


@pytest.fixture(params=WHOLE)
def compose(request):
    return load(request.param)


@pytest.fixture(params=WITH_SERVER)
def with_server(request):
    return load(request.param)


@pytest.fixture(params=WITH_NODES)
def with_nodes(request):
    return load(request.param)


def test_every_file_is_looked_at():
    assert {path.name for path in DOCKER.glob("*.yaml")} == {*WHOLE, *GPU, BASE}


def test_every_service_is_locked_down(compose):
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["user"] == "${FEDMVP_UID:-10001}:${FEDMVP_GID:-10001}", name
        assert service["init"] is True, name
        assert "privileged" not in service, name


def test_tools_have_limits(compose):
    for name, service in compose["services"].items():
        if "tools" in service.get("profiles", []):
            assert {"mem_limit", "pids_limit"} <= service.keys(), name


def test_services_that_stay_have_limits_health_and_restart(compose):
    stay = {name: s for name, s in compose["services"].items() if "profiles" not in s}
    assert stay
    for name, service in stay.items():
        assert service["restart"] == "unless-stopped", name
        assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys(), name


def test_each_machine_has_its_services():
    here = {name: load(name)["services"].keys() for name in WHOLE}
    server = {"superlink", "register", "cli"}
    assert here["compose.yaml"] == server | {"node-0", "node-1", "node-2"}
    assert here["compose.server.yaml"] == server
    assert here["compose.node.yaml"] == {"node"}


def test_what_steers_the_superlink_shares_its_network(with_server):
    """The SuperLink refuses everything but nodes' requests from other addresses than its own."""
    for name in ("register", "cli"):
        service = with_server["services"][name]
        assert service["network_mode"] == "service:superlink", name
        assert service["profiles"] == ["tools"], name
    assert (
        with_server["services"]["register"]["environment"]["FEDMVP_SUPERLINK"] == "localhost:8000"
    )


def test_only_the_superlink_publishes_a_port(compose):
    for name, service in compose["services"].items():
        if name == "superlink":
            assert service["ports"] == ["${FEDMVP_PORT:-8000}:8000"]
        else:
            assert "ports" not in service, name
    for name, service in nodes(compose).items():
        assert "network_mode" not in service, name


def test_what_is_mounted_is_declared(compose):
    for service in compose["services"].values():
        assert {secret["source"] for secret in service.get("secrets", ())} <= compose[
            "secrets"
        ].keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("$") or source in compose["volumes"], volume


def test_nothing_of_the_machine_can_be_written(compose):
    """Containers write to volumes of their own; what lies on the machine is read."""
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            assert volume.endswith(":ro") or not volume.startswith("$"), volume


def test_a_node_gets_its_own_key_and_data_and_no_other(with_nodes):
    for name, service in nodes(with_nodes).items():
        number = name.partition("-")[2]
        of_its_own = f"node_{number}_key" if number else "node_key"
        sources = {secret["source"] for secret in service["secrets"]}
        assert sources == {"ca_certificate", of_its_own}
        targets = {secret["source"]: secret["target"] for secret in service["secrets"]}
        assert targets == {"ca_certificate": "/certificates/ca.crt", of_its_own: "node_key"}
        data = [volume for volume in service["volumes"] if volume.endswith(":/data:ro")]
        assert len(data) == 1
        assert VARIABLE.findall(data[0]) == [f"FEDMVP_DATA_{number}" if number else "FEDMVP_DATA"]
        caches = [volume for volume in service["volumes"] if volume.endswith(":/cache")]
        assert len(service["volumes"]) == len(data) + len(caches) == 2
        assert with_nodes["secrets"][of_its_own]["file"] == (
            f"${{FEDMVP_SECRETS}}/nodes/{name}"
            if number
            else "${FEDMVP_SECRETS}/${FEDMVP_NODE_NAME}"
        )


def test_nodes_share_no_cache(with_nodes):
    caches = [volume for s in nodes(with_nodes).values() for volume in s["volumes"]]
    assert len(set(caches)) == len(caches)


def test_no_private_key_of_a_node_comes_to_the_server():
    for name in WITH_SERVER:
        services = load(name)["services"]
        for service in ("superlink", "register", "cli"):
            sources = {secret["source"] for secret in services[service]["secrets"]}
            assert sources <= {"ca_certificate", "server_certificate", "server_key"}
    keys = [v for v in load("compose.yaml")["services"]["register"]["volumes"] if "/nodes/" in v]
    assert len(keys) == 3
    assert all(volume.partition(":/")[0].endswith(".pub") for volume in keys)
    assert load("compose.server.yaml")["secrets"].keys() == {
        "ca_certificate", "server_certificate", "server_key",
    }  # fmt: skip


def test_a_node_alone_is_told_where_the_superlink_is():
    compose = load("compose.node.yaml")
    environment = compose["services"]["node"]["environment"]
    assert environment["FEDMVP_SUPERLINK"].startswith("${FEDMVP_SUPERLINK:?")
    assert environment["FEDMVP_NODE_NAME"].startswith("${FEDMVP_NODE_NAME:?")
    assert "depends_on" not in compose["services"]["node"]


def test_a_machine_is_asked_for_what_it_has_alone():
    """Compose wants every variable of a file and of those it extends, also of other services."""
    text = {name: (DOCKER / name).read_text() for name in (*WHOLE, BASE)}
    required = {name: set(re.findall(r"\$\{(\w+):\?", text[name])) for name in text}
    assert required[BASE] == set()
    assert required["compose.server.yaml"] == {"FEDMVP_SECRETS", "FEDMVP_SERVER_DATA"}
    node = {"FEDMVP_SECRETS", "FEDMVP_DATA", "FEDMVP_NODE_NAME", "FEDMVP_SUPERLINK"}
    assert required["compose.node.yaml"] == node
    for name in (*WHOLE, BASE):
        optional = set(re.findall(r"\$\{(\w+):-", text[name]))
        assert set(VARIABLE.findall(text[name])) == required[name] | optional


def test_what_is_extended_can_be():
    """Compose extends no service that needs another; podman-compose follows one `extends` only."""
    base = read(BASE)
    assert base.keys() == {"x-common", "services"}
    for service in base["services"].values():
        assert service.keys().isdisjoint({"extends", "depends_on", "network_mode", "volumes_from"})
    for name in WHOLE:
        for service in read(name)["services"].values():
            assert service["extends"]["file"] == BASE


@pytest.mark.parametrize("name", GPU)
def test_gpus_are_given_to_all_nodes_of_a_file_and_change_nothing_else(name):
    more = read(name)["services"]
    assert more.keys() == nodes(load(GPU[name])).keys()
    (one,) = {yaml.dump(service) for service in more.values()}
    assert yaml.safe_load(one) == read("compose.gpu.yaml")["x-gpu"]


def test_every_variable_is_in_the_example():
    used = {v for path in DOCKER.glob("*.yaml") for v in VARIABLE.findall(path.read_text())}
    example = re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text(), re.MULTILINE)
    assert len(example) == len(set(example))
    assert used == set(example)


def test_the_example_names_files_that_are_there():
    text = (DOCKER / ".env.example").read_text()
    named = {
        file
        for line in re.findall(r"^# COMPOSE_FILE=(.*)$", text, re.MULTILINE)
        for file in line.split(":")
    }
    assert named == {"compose.server.yaml", "compose.node.yaml", "compose.node.gpu.yaml"}


def test_commands_are_scripts_that_are_there(compose):
    for service in compose["services"].values():
        program = Path(service["command"][0])
        if program.is_absolute():
            assert DOCKER / "scripts" / program.name in SCRIPTS


def test_nodes_run_under_supervision(with_nodes):
    for service in nodes(with_nodes).values():
        (script,) = service["command"]
        text = (DOCKER / "scripts" / Path(script).name).read_text()
        assert "exec python -m fedmvp_flwr.deploy.supervise" in text


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
