import importlib.util
from pathlib import Path

import pytest

ROGUE = Path(__file__).resolve().parents[2] / "reliability" / "rogue" / "sitecustomize.py"


@pytest.fixture(scope="session")
def rogue():
    """The file that makes a node misbehave, as a module."""
    spec = importlib.util.spec_from_file_location("fedmvp_rogue", ROGUE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def in_an_app(monkeypatch):
    """Messages can be made as in the process of an app."""
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture(autouse=True)
def quickly_started_again(monkeypatch):
    """What has ended is seen, and started again, at once; what outlives it is asked to end."""
    for name in ("_SAMPLE", "_RESTART_FIRST", "_LEFTOVER"):
        monkeypatch.setattr(f"reliability.processes.{name}", 0.1)
