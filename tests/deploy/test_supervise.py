import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmvp_flwr.deploy import supervise as module
from fedmvp_flwr.deploy.supervise import supervise

QUICK = (
    "import sys; from fedmvp_flwr.deploy import supervise; supervise._POLL = 0.05; "
    "sys.exit(supervise.main())"
)
KEEPER = ["-c", QUICK, "--", sys.executable, "-c"]
HANGS = "import sys, time; print('ERROR: Server error 500', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "_POLL", 0.05)
    monkeypatch.setattr(module, "_ABSENT", 0.2)
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)


@pytest.mark.parametrize("status", [0, 3])
def test_the_exit_status_and_the_output_are_passed_on(capsys, status):
    program = f"import sys; print('hello'); sys.exit({status})"
    assert supervise([sys.executable, "-c", program], fatal="never", needs="nobody") == status
    assert "hello" in capsys.readouterr().out


def test_a_fatal_line_ends_a_process_that_stays(capsys):
    began = time.monotonic()
    assert supervise([sys.executable, "-c", HANGS], fatal="Server error 5") == 1
    assert time.monotonic() - began < 50
    assert "dead without knowing it" in capsys.readouterr().out


def pattern_of(option):
    script = Path(__file__).resolve().parents[2] / "docker" / "scripts" / "supernode.sh"
    words = shlex.split(script.read_text().partition("exec ")[2], comments=True)
    return re.compile(words[words.index(option) + 1])


def test_a_node_is_ended_at_the_lines_after_which_flower_is_deaf():
    from flwr.supercore.retry import http_retry
    from flwr.supernode import start_client_internal

    pattern = pattern_of("--fatal")
    said = "SSL/TLS handshake error detected."
    assert said in inspect.getsource(http_retry)
    assert pattern.search(f"ERROR :     {said}")
    assert pattern.search("Server error '500 Internal Server Error' for url 'https://x/v1/fleet'")
    # A task is there for a message of a run that has been stopped: its reply would be one too many.
    said = "status. Ignoring message %s."
    assert said in inspect.getsource(start_client_internal)
    assert pattern.search(f"INFO :      Run ID 7 is not in `RUNNING` {said}")
    assert not pattern.search("Run ID 7 is not in `RUNNING` status. Ignoring reply message ab.")
    assert not pattern.search("Connection attempt failed, retrying in 0.86 seconds")


@pytest.mark.parametrize(
    "line",
    [
        "flwr.clientapp.client_app.LoadClientAppError: Failed to load ClientApp.",
        "shutil.Error: [('/tmp/a.py', '/cache/flwr/apps/x/a.py', '[Errno 28] No space left')]",
        "OSError: [Errno 28] No space left on device: '/cache/flwr/apps/x/pyproject.toml'",
    ],
)
def test_an_app_that_is_not_whole_is_removed(tmp_path, capsys, line):
    from flwr.clientapp.client_app import LoadClientAppError

    assert LoadClientAppError.__name__ in pattern_of("--broken").pattern
    apps = tmp_path / "apps"
    show = f"import pathlib; (pathlib.Path({str(apps)!r}) / 'half').mkdir(parents=True)"
    program = f"{show}; print({line!r}, flush=True)"
    keeper = module.Apps(apps, pattern_of("--broken").pattern)
    assert supervise([sys.executable, "-c", program], apps=keeper) == 0
    assert not apps.exists()
    assert "installed anew" in capsys.readouterr().out


def test_an_app_stays_while_nothing_is_wrong_with_it(tmp_path):
    apps = tmp_path / "apps"
    (apps / "of-an-earlier-start").mkdir(parents=True)
    keeper = module.Apps(apps, pattern_of("--broken").pattern)
    assert not apps.exists()
    (apps / "new").mkdir(parents=True)
    program = "print('StoreError: [Errno 28] No space left on device: /cache/features')"
    assert supervise([sys.executable, "-c", program], apps=keeper) == 0
    assert (apps / "new").is_dir()


def test_a_lost_child_ends_its_parent(monkeypatch):
    monkeypatch.setattr(module, "descendants", stepwise([["needed"], ["needed"], [], []]))
    assert supervise([sys.executable, "-c", HANGS], needs="needed") == 1


def test_nothing_is_ended_while_an_app_is_at_work(monkeypatch):
    looks = [["needed"], *([["flwr-serverapp"]] * 10), ["needed"]]
    monkeypatch.setattr(module, "descendants", stepwise(looks))
    program = "import time; time.sleep(1)"
    assert supervise([sys.executable, "-c", program], needs="needed") == 0


def stepwise(looks):
    left = list(looks)
    return lambda parent: left.pop(0) if len(left) > 1 else left[0]


def test_descendants_are_found_by_name():
    child = subprocess.Popen(["sleep", "30"])
    try:
        assert "sleep" in module.descendants(os.getpid())
    finally:
        child.kill()
        child.wait()


def test_a_program_in_good_order_leaves_no_mark(tmp_path):
    mark = tmp_path / "alive"
    seen = "import sys, time; time.sleep(0.5); sys.exit(3)"
    assert supervise([sys.executable, "-c", seen], alive=mark) == 3
    assert not mark.exists()
    assert supervise([sys.executable, "-c", HANGS], fatal="Server error 5", alive=mark) == 1
    assert not mark.exists()  # ended by us: it could say goodbye


def test_a_program_that_a_second_signal_killed_leaves_its_mark(tmp_path):
    """It could not say goodbye, as one that was killed."""
    mark = tmp_path / "alive"
    killed = "import os, signal, time; time.sleep(0.5); os.kill(os.getpid(), signal.SIGTERM)"
    assert supervise([sys.executable, "-c", killed], alive=mark) == -15
    assert mark.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_log_on_a_full_disk_does_not_stop_the_program():
    program = "for n in range(20000): print('a line that fills the pipe', n)"
    command = [sys.executable, *KEEPER, program]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, check=False, timeout=60)
    assert done.returncode == 0


def test_a_terminal_interrupts_the_program_once_and_not_twice():
    program = "import os; print(os.getpgid(0) == os.getpid())"
    command = [sys.executable, *KEEPER, program]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert done.stdout == "True\n"


LEAVES = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); "
    "print('up', flush=True); time.sleep(60)"
)


def kept(of_hangup):
    """A supervised program that is up, whose keeper was started with this handling of SIGHUP."""
    starter = (
        f"import os, signal, sys; signal.signal(signal.SIGHUP, signal.{of_hangup}); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", starter, *KEEPER, LEAVES]
    keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert keeper.stdout.readline() == b"up\n"
    return keeper


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM], ids=lambda n: n.name)
def test_a_closed_terminal_ends_the_program_in_good_order(number):
    with kept("SIG_DFL") as keeper:
        keeper.send_signal(number)
        assert keeper.wait(30) == 5


def test_a_program_under_nohup_outlives_its_terminal():
    with kept("SIG_IGN") as keeper:
        keeper.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            keeper.wait(1)
        keeper.terminate()
        assert keeper.wait(30) == 5


def test_a_killed_program_is_kept_away_until_the_superlink_has_noticed(
    tmp_path, monkeypatch, capsys
):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    mark = tmp_path / "alive"
    killed = "import os, signal, time; time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)"
    assert supervise([sys.executable, "-c", killed], alive=mark) == -9
    assert mark.exists()
    assert waits == []
    assert supervise([sys.executable, "-c", "pass"], alive=mark) == 0
    (left,) = waits
    assert 70 < left <= 75
    assert "killed a moment ago" in capsys.readouterr().out
    assert not mark.exists()


@pytest.mark.parametrize(("age", "waited"), [(1000.0, False), (30.0, True), (-500.0, True)])
def test_how_long_ago_it_was_killed_counts(tmp_path, monkeypatch, age, waited):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    mark = tmp_path / "alive"
    mark.touch()
    now = time.time()
    os.utime(mark, (now - age, now - age))
    assert supervise([sys.executable, "-c", "pass"], alive=mark) == 0
    assert bool(waits) == waited
    assert all(0 < wait <= 75 for wait in waits)
