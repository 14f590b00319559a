import sys

import pytest

from fedmvp_flwr.comparison import worker

PROJECT = """
[tool.flwr.app.components]
serverapp = "some_server_app:first"
clientapp = "some_client_app:second"
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "some_server_app.py").write_text("first = 'the server'\n")
    (tmp_path / "some_client_app.py").write_text("second = 'the client'\n")
    return tmp_path


def test_components_are_those_of_the_app(app):
    assert worker.components(app) == ("the server", "the client")


def test_a_run_gets_settings_and_clients(app, monkeypatch):
    from fedmvp_flwr.simulation import in_process

    called = []
    monkeypatch.setattr(in_process, "run_in_process", lambda *given: called.append(given))
    monkeypatch.setattr("torch.set_num_threads", lambda number: called.append(number))
    assert worker.main([str(app), '{"seed": 3}', "4"]) == 0
    assert called == [1, ("the server", "the client", {"seed": 3}, 4)]
