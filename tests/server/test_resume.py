"""What is known of a run from its folder alone; `tests/apps/test_resume.py` goes on with runs."""

import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.errors import CheckpointError
from fedmvp_flwr.server.resume import RunState, load_resume_point

STATE = {
    "config": RunConfig.of().to_run_config(),
    "class_names": ["a", "b"],
    "probe": None,
    "models": {"image": "0a"},
    "threshold": 0.5,
    "counts": {"samples": [2, 1], "real": {"image": [2, 0], "text": [1, 1]}},
    "history_bytes": 0,
    "history_hash": "",
    "bytes": {},
    "seconds": {"total": 1.5},
    "selection": {"best_round": 2, "best_score": 0.1, "since": 1},
    "names": {"hospital-a": 0},
    "clients": 2,
    "data": {"0": "1b"},
}


def leave(folder, state):
    CheckpointStore(folder / "checkpoints").save(3, pack({}, "fp16"), state)


def test_the_state_comes_back_exactly(tmp_path):
    state = RunState.model_validate(STATE)
    leave(tmp_path, state.model_dump())
    point = load_resume_point(tmp_path)
    assert (point.server_round, point.state) == (3, state)


@pytest.mark.parametrize("wrong", [{"threshold": "high"}, {"selection": {"best_round": "x"}}])
def test_a_state_that_cannot_be_is_refused_by_name(tmp_path, wrong):
    leave(tmp_path, STATE | wrong)
    (name,) = wrong
    with pytest.raises(CheckpointError, match=rf"no usable {name}: .*another version"):
        load_resume_point(tmp_path)


def test_a_run_of_another_version_is_refused_in_one_sentence(tmp_path):
    config = {k: v for k, v in STATE["config"].items() if k != "data-seed"}
    leave(tmp_path, STATE | {"config": config | {"split-seed": 0}})
    with pytest.raises(CheckpointError, match=r"another version, .*data-seed, split-seed\)"):
        load_resume_point(tmp_path)
