"""A run is opened only where it may be, and its results are written; nothing is trained here."""

import json
from types import SimpleNamespace

import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.aggregation.wire import pack
from fedmvp_flwr.base.errors import CheckpointError, ConfigError, DataError, ReportError
from fedmvp_flwr.base.jsonl import read_events
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.preflight.findings import PreflightReport
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.protocol.summary import read_summary
from fedmvp_flwr.server.federation import TrainedRun
from fedmvp_flwr.server.journal import Journal
from fedmvp_flwr.server.resume import RunState, history_mark
from fedmvp_flwr.server.selection import Selection
from server_app import run as module
from server_app.run import finish, open_run


@pytest.fixture(autouse=True)
def problems(monkeypatch, light_runs):
    """What the preflight finds."""
    found = []
    monkeypatch.setattr(module, "preflight", lambda config, clients: PreflightReport(found))
    return found


@pytest.fixture
def out(tmp_path):
    folder = RunFolder(tmp_path / "out")
    folder.path.mkdir()
    return folder


def kept(folder):
    files = (path for path in folder.path.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def leave_interrupted(folder, config, *, rounds=3):
    """A run that got through some rounds, and wrote an event after the last of them."""
    journal = Journal(config, folder)
    store = CheckpointStore(folder.checkpoints)
    for number in range(1, rounds + 1):
        journal.event("round", {"round": number})
        size, digest = history_mark(folder.metrics)
        state = RunState(
            config=config.to_run_config(),
            class_names=["a", "b"],
            probe=None,
            models={},
            threshold=0.5,
            counts=ClassCounts([1, 1], {"image": [1, 1], "text": [1, 0]}),
            history_bytes=size,
            history_hash=digest,
            bytes={"upload-per-client-round": 7},
            seconds={"total": 100.0},
            selection=Selection(),
            names={},
            clients=2,
            data={},
        )
        arrays = pack({"w": torch.full((2,), float(number))}, "fp32")
        store.save(number, arrays, state.model_dump())
    journal.event("round", {"round": rounds + 1})


def leave_completed(folder):
    leave_interrupted(folder, RunConfig.of())
    folder.result.write_text(json.dumps({"status": "completed"}))


def test_a_new_run_begins_with_an_empty_history(out):
    run = open_run(RunConfig.of(), out)
    assert (run.point, run.rounds_before) == (None, 0)
    assert read_events(out.metrics) == []


def test_a_completed_run_is_overwritten_and_the_users_files_stay(out):
    leave_completed(out)
    (out.path / "notes.txt").write_text("mine")
    open_run(RunConfig.of(), out)
    assert {path.name for path in kept(out)} == {"metrics.jsonl", "notes.txt"}
    assert read_events(out.metrics) == []


def test_an_interrupted_run_is_not_overwritten(out):
    leave_interrupted(out, RunConfig.of())
    before = kept(out)
    with pytest.raises(ConfigError, match=r"not completed.*round-00003.*resume = "):
        open_run(RunConfig.of(), out)
    assert kept(out) == before


def test_what_the_preflight_finds_is_the_result_of_a_run_that_never_began(out, problems):
    problems.append("the captioner lies nowhere")
    with pytest.raises(DataError, match="nowhere"):
        open_run(RunConfig.of(), out)
    result = json.loads(out.result.read_text())
    assert result["status"] == "failed"
    assert "nowhere" in result["reason"]


def test_a_failed_preflight_does_not_cost_a_completed_run(out, problems):
    leave_completed(out)
    before = kept(out)
    problems.append("the captioner lies nowhere")
    with pytest.raises(DataError, match="nowhere"):
        open_run(RunConfig.of(), out)
    assert kept(out) == before


def test_a_run_goes_on_in_place_after_its_last_finished_round(out):
    config = RunConfig.of(resume=str(out.path))
    leave_interrupted(out, config)
    run = open_run(config, out)
    assert run.rounds_before == 3
    assert torch.equal(run.point.tensors["w"], torch.full((2,), 3.0))
    assert [event["round"] for event in read_events(out.metrics)] == [1, 2, 3]
    assert run.journal.bytes == {"upload-per-client-round": 7}
    assert run.journal.all_seconds()["total"] >= 100.0


def test_a_run_goes_on_in_another_folder_and_the_old_one_stays(out, tmp_path):
    before = RunFolder(tmp_path / "before")
    leave_interrupted(before, RunConfig.of())
    files = kept(before)
    run = open_run(RunConfig.of(resume=str(before.path), out_dir=str(out.path)), out)
    assert run.rounds_before == 3
    assert [event["round"] for event in read_events(out.metrics)] == [1, 2, 3]
    assert out.round_file(3).read_bytes() == before.round_file(3).read_bytes()
    assert kept(before) == files


@pytest.mark.parametrize("wrong", ["settings", "history"])
def test_a_run_that_cannot_be_gone_on_with_is_left_as_it_is(out, wrong):
    config = RunConfig.of(resume=str(out.path))
    leave_interrupted(out, config)
    if wrong == "settings":
        config = config.changed(learning_rate=0.5)
    else:
        out.metrics.write_bytes(b"{}" + out.metrics.read_bytes()[2:])
    before = kept(out)
    with pytest.raises(CheckpointError, match=r"other settings|changed or lost"):
        open_run(config, out)
    assert kept(out) == before


def test_curves_need_their_package_before_anything_is_touched(out, monkeypatch):
    def lacking():
        raise ReportError("needs the package 'tensorboard'")

    monkeypatch.setattr(module, "require_tensorboard", lacking)
    leave_completed(out)
    before = kept(out)
    with pytest.raises(ReportError, match="tensorboard"):
        open_run(RunConfig.of(tensorboard=True), out)
    assert kept(out) == before


def test_model_and_result_of_a_trained_run(out, network, summary):
    run = open_run(RunConfig.of(), out)
    told = [read_summary(summary | {"partition-id": key}) for key in (0, 1)]
    scores = {"accuracy": {"complete": 0.5}}
    prepared = SimpleNamespace(
        data=SimpleNamespace(class_names=("a", "b", "c")),
        admission=SimpleNamespace(ready=lambda: told),
        models={"image-encoder": {"fingerprint": "ab12"}},
        probe_hash="5f",
    )
    predicted = {"complete": torch.tensor([0, 2]), "complete.true": torch.tensor([0, 1])}
    scorer = SimpleNamespace(
        scores_from="server",
        of_selected=lambda number, history: scores,
        predictions=lambda: predicted,
    )
    finish(run, prepared, TrainedRun(network, scorer, last_round=4, selected=2))
    result = json.loads(out.result.read_text())
    assert (result["status"], result["accuracy"]) == ("completed", {"complete": 0.5})
    assert (result["rounds"], result["clients"]) == ({"last": 4, "selected": 2}, 2)
    assert result["completions"]["image"] == {"made": 2, "reused": 4, "rejected": 0}
    assert (result["scores-from"], result["hashes"]["probe"]) == ("server", "5f")
    assert load_tensors(out.predictions)[0]["complete"].tolist() == [0, 2]
    tensors, metadata = load_tensors(out.model)
    assert metadata["class-names"] == ["a", "b", "c"]
    assert all(torch.equal(tensors[n], tensor) for n, tensor in network.state_dict().items())
    assert read_events(out.metrics)[-1]["status"] == "completed"
