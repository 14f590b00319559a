import os
import signal
import socket
import subprocess
import sys

import pytest

from reliability import processes
from reliability.processes import Service, family, resident, session, wait_for
from reliability.proxy import HOST, CountingProxy

SLEEPER = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"


@pytest.fixture
def service(tmp_path):
    made = Service("sleeper", [sys.executable, "-c", SLEEPER], {}, tmp_path / "log")
    yield made
    made.restart = False
    made.stop()


def test_a_kill_ends_the_children_too(service):
    wait_for("the child", lambda: len(session(service.pid)) == 2, 30.0, 0.05)
    leader = service.pid
    assert resident(session(leader)) > 0
    service.kill()
    wait_for("the end", lambda: not session(leader), 10.0, 0.05)
    assert service.code == -9


def test_a_service_is_started_again(service):
    first = service.pid
    service.kill(restart=True)
    wait_for("the restart", lambda: service.starts == 2 and service.code is None, 30.0, 0.05)
    assert service.pid != first


def test_waiting_ends():
    with pytest.raises(TimeoutError, match="godot"):
        wait_for("godot", lambda: False, 0.05, 0.01)


def test_a_proxy_counts_both_ways_and_can_be_cut():
    server = socket.create_server((HOST, 0))
    proxy = CountingProxy(server.getsockname()[1])
    client = socket.create_connection((HOST, proxy.port))
    other, _ = server.accept()
    client.sendall(b"x" * 1000)
    received = b""
    while len(received) < 1000:
        received += other.recv(1000)
    other.sendall(b"y" * 30)
    assert client.recv(100) == b"y" * 30
    assert (proxy.sent, proxy.received) == (1000, 30)
    client.close()
    proxy.cut = True
    refused = socket.create_connection((HOST, proxy.port))
    refused.settimeout(10.0)
    assert refused.recv(1) == b""
    for end in (refused, other, server):
        end.close()
    proxy.close()


def test_a_family_spans_sessions(tmp_path):
    script = (
        "import subprocess, time; "
        "subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"
    )
    made = Service("parent", [sys.executable, "-c", script], {}, tmp_path / "log")
    try:
        wait_for("the child", lambda: len(family(made.pid)) == 2, 30.0, 0.05)
        parent, child = family(made.pid)
        assert parent == made.pid
        assert session(made.pid) == [made.pid]
        os.kill(child, signal.SIGKILL)
        wait_for("its end", lambda: family(made.pid) == [made.pid], 10.0, 0.05)
    finally:
        made.stop()
    assert family(made.pid) == []


def test_ends_what_is_in_another_session_and_has_lost_its_parent(tmp_path, monkeypatch):
    for name in ("_LEFTOVER", "_GRACE"):  # once deaf, always deaf
        monkeypatch.setattr(processes, name, 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    script = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, '-c', '{deaf}'], start_new_session=True); "
        "time.sleep(60)"
    )
    made = Service("parent", [sys.executable, "-c", script], {}, tmp_path / "log")
    try:
        wait_for("the child", lambda: len(family(made.pid)) == 2, 30.0, 0.05)
        _, child = family(made.pid)
    finally:
        made.stop()
    wait_for("its end", lambda: not family(child), 10.0, 0.05)


def test_a_kill_is_that_of_a_whole_container(tmp_path):
    script = (
        "import subprocess, time; "
        "subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"
    )
    made = Service("parent", [sys.executable, "-c", script], {}, tmp_path / "log")
    wait_for("the child", lambda: len(family(made.pid)) == 2, 30.0, 0.05)
    _, child = family(made.pid)
    made.kill()
    wait_for("its end", lambda: not family(child), 10.0, 0.05)
    made.stop()


def test_a_program_that_is_ended_from_outside_ends_what_it_started(tmp_path):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from reliability.processes import Service, end_on_sigterm\n"
        "end_on_sigterm()\n"
        "made = Service('sleeper', ['sleep', '60'], {}, Path(sys.argv[1]))\n"
        "try:\n"
        "    print(made.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    made.stop()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    child = int(program.stdout.readline())
    assert family(child)
    program.terminate()
    _, said = program.communicate(timeout=30)
    assert program.returncode == 1
    assert b"ended from outside" in said
    assert not family(child)


def test_what_is_looked_after_is_asked_to_end_once(tmp_path):
    """A second SIGTERM would kill Flower's SuperNode before it has said goodbye."""
    program = (
        "import signal, time; heard = []; signal.signal(15, lambda *_: heard.append(1)); "
        "print('up', flush=True); [time.sleep(0.1) for _ in range(600) if not heard]; "
        "time.sleep(1); print('heard', len(heard), flush=True)"
    )
    keeper = [sys.executable, "-m", "fedmvp_flwr.deploy.supervise", "--"]
    command = ["bash", "-c", 'true; "$@"; true', "bash", *keeper, sys.executable, "-c", program]
    made = Service("looked after", command, os.environ, tmp_path / "log")
    wait_for("the program", lambda: "up" in made.text(), 30.0, 0.05)
    made.stop()
    assert "heard 1" in made.text()
