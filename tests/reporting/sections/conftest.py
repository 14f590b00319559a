import pytest

from fedmvp_flwr.reporting.run_record import load_run


@pytest.fixture
def record(new_run):
    """The record of a small whole run; keywords are settings of the synthetic run."""

    def make(**settings):
        run = new_run(**({"rounds": 6, "clients": 4} | settings))
        run.complete()
        return load_run(run.out)

    return make
