"""docker/scripts/certificates.sh: what is there is kept, and no second authority is ever made."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "scripts" / "certificates.sh"

pytestmark = pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("ssh-keygen")),
    reason="needs openssl and ssh-keygen",
)


def make(folder, *arguments):
    command = [str(SCRIPT), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secrets")
    done = make(folder, "node-0", "--", "localhost", "127.0.0.1", "superlink")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def secrets(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "secrets"))


def verified(folder):
    command = ["openssl", "verify", "-CAfile", folder / "ca.crt", folder / "server.pem"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_certificate_is_the_authoritys_and_has_all_names(secrets):
    assert verified(secrets)
    command = ["openssl", "x509", "-in", secrets / "server.pem", "-noout", "-text"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in ("DNS:localhost", "DNS:superlink", "IP Address:127.0.0.1"):
        assert name in text


def test_keys_are_readable_by_their_owner_alone(secrets):
    for name in ("ca.key", "server.key", "nodes/node-0"):
        assert (secrets / name).stat().st_mode & 0o077 == 0


def test_a_node_is_added_where_the_authoritys_key_is_kept_elsewhere(secrets):
    (secrets / "ca.key").unlink()
    before = {path: path.read_bytes() for path in secrets.rglob("*") if path.is_file()}
    done = make(secrets, "node-0", "node-1")
    assert done.returncode == 0, done.stderr
    assert (secrets / "nodes" / "node-1.pub").is_file()
    assert {path: path.read_bytes() for path in before} == before
    assert verified(secrets)


@pytest.mark.parametrize("lost", ["ca.key", "ca.crt"])
def test_no_second_authority_takes_the_place_of_a_lost_one(secrets, lost):
    (secrets / lost).unlink()
    (secrets / "server.pem").unlink()
    done = make(secrets, "node-1")
    assert done.returncode != 0
    assert lost in done.stderr
    assert not (secrets / lost).exists()


def test_what_openssl_says_of_an_error_is_shown(secrets):
    (secrets / "server.pem").unlink()
    done = make(secrets, "node-1", "--", "a name,")
    assert done.returncode != 0
    assert "subjectAltName" in done.stderr


def test_without_names_of_nodes_it_says_how_to_call_it(tmp_path):
    done = make(tmp_path)
    assert done.returncode == 2
    assert "certificates.sh DIR NODE" in done.stderr
    assert "set -eu" not in done.stderr
