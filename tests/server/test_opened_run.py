from pathlib import Path
from types import SimpleNamespace

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.server.opened_run import OpenedRun


def opened(point=None, **settings):
    return OpenedRun(RunConfig.of(**settings), RunFolder(Path("unused")), point, None)


def test_a_new_run_has_nothing_before_it():
    run = opened()
    assert (run.state, run.rounds_before) == (None, 0)


def test_a_run_that_is_gone_on_with_counts_the_rounds_before_it():
    state = SimpleNamespace(threshold=0.25)
    run = opened(SimpleNamespace(server_round=7, state=state))
    assert run.rounds_before == 7
    assert run.state is state


@pytest.mark.parametrize(("wanted", "needed"), [(0, 2), (1, 2), (2, 2), (5, 5)])
def test_a_federation_of_one_is_none(wanted, needed):
    assert opened(min_nodes=wanted).min_nodes == needed
