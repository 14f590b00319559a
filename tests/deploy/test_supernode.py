import os

import pytest

from fedmvp_flwr.deploy import supernode as module


def test_the_process_ends_once_its_loop_has_ended(monkeypatch, capsys):
    ends = []
    monkeypatch.setattr(module, "flower_supernode", lambda: None)
    monkeypatch.setattr(os, "_exit", ends.append)
    module.main()
    assert ends == [1]
    assert "asks for messages no more" in capsys.readouterr().out


def test_an_end_in_good_order_is_passed_on(monkeypatch):
    def leave():
        raise SystemExit(0)

    monkeypatch.setattr(module, "flower_supernode", leave)
    monkeypatch.setattr(os, "_exit", lambda status: pytest.fail("ended by force"))
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
