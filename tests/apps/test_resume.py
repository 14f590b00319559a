"""An interrupted run that is gone on with ends as if nothing had happened."""

import json
import shutil

import pytest
import torch

from fedmvp_flwr.aggregation.checkpoint import CheckpointStore
from fedmvp_flwr.base.errors import CheckpointError, ConfigError, DataError, RoundError
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.server.resume import load_resume_point, require_resumable

pytestmark = pytest.mark.slow

ROUNDS = 4
TIMES = ("time", "seconds")
RESTARTED = ("phase", "client", "run-start", "run-resume")


@pytest.fixture(scope="module")
def whole(federate_module, tmp_path_factory):
    """The folder of a run that nothing interrupts."""
    out = tmp_path_factory.mktemp("whole") / "out"
    federate_module(out=out, num_server_rounds=ROUNDS, **SETTINGS)
    return out


SETTINGS = {"selection": "server", "validation_samples": 24, "fraction_train": 0.7}


def history(folder):
    """The events of the rounds, without times."""
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [event for event in events if event["event"] not in (*RESTARTED, "run-end")]
    return [{k: v for k, v in event.items() if k not in TIMES} for event in kept]


def evaluations(folder):
    """Round and place of each evaluation in the history; each is there once."""
    found = [(e["round"], e["where"]) for e in history(folder) if e["event"] == "evaluation"]
    assert len(set(found)) == len(found)
    return found


def assert_same(first, second):
    """Bits of the model, history, hashes, sizes and scores."""
    assert evaluations(first)
    models = [load_tensors(folder / "model.safetensors")[0] for folder in (first, second)]
    assert models[0].keys() == models[1].keys()
    for name, tensor in models[0].items():
        assert torch.equal(tensor, models[1][name]), name
    assert history(first) == history(second)
    results = [json.loads((folder / "result.json").read_text()) for folder in (first, second)]
    for key in ("status", "accuracy", "macro-f1", "accuracy-with-completion", "hashes", "bytes"):
        assert results[0][key] == results[1][key], key
    assert results[0]["rounds"] == results[1]["rounds"]


def fails_from(wrap, first):
    """A client that raises from a round on."""

    def raises(message, reply):
        raise RuntimeError("power cut")

    return wrap(raises, lambda partition, server_round: server_round >= first)


def test_the_rest_is_the_same_in_another_folder(federate, wrap, whole, tmp_path):
    with pytest.raises(RoundError):
        federate(fails_from(wrap, 2), num_server_rounds=ROUNDS, **SETTINGS)
    out = tmp_path / "second"
    result, events = federate(
        out=out, resume=str(tmp_path / "out"), num_server_rounds=ROUNDS, **SETTINGS
    )
    assert_same(whole, out)
    assert [e["after-round"] for e in events if e["event"] == "run-resume"] == [1]
    assert result["seconds"]["training"] > 0


def test_a_crash_after_the_round_but_before_its_checkpoint_costs_that_round_alone(
    federate, whole, tmp_path, monkeypatch
):
    save = CheckpointStore.save

    def full(self, server_round, arrays, metadata):
        if server_round == 3:
            raise OSError(28, "No space left on device")
        return save(self, server_round, arrays, metadata)

    monkeypatch.setattr(CheckpointStore, "save", full)
    with pytest.raises(OSError, match="No space"):
        federate(num_server_rounds=ROUNDS, **SETTINGS)
    monkeypatch.undo()
    torn = tmp_path / "out" / "metrics.jsonl"
    torn.write_bytes(torn.read_bytes() + b'{"event": "rou')
    federate(resume=str(tmp_path / "out"), num_server_rounds=ROUNDS, **SETTINGS)
    assert_same(whole, tmp_path / "out")


def test_it_can_be_interrupted_again_and_again(federate, wrap, whole, tmp_path):
    resume = ""
    for failing in (2, 3, 4):
        with pytest.raises(RoundError):
            federate(fails_from(wrap, failing), num_server_rounds=ROUNDS, resume=resume, **SETTINGS)
        resume = str(tmp_path / "out")
    result, events = federate(num_server_rounds=ROUNDS, resume=resume, **SETTINGS)
    assert_same(whole, tmp_path / "out")
    assert [e["after-round"] for e in events if e["event"] == "run-resume"] == [1, 2, 3]
    assert result["seconds"]["training"] > 0


def test_a_damaged_checkpoint_costs_a_round_not_the_run(federate, wrap, whole, tmp_path):
    with pytest.raises(RoundError):
        federate(fails_from(wrap, 4), num_server_rounds=ROUNDS, **SETTINGS)
    newest = tmp_path / "out" / "checkpoints" / "round-00003.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    _, events = federate(resume=str(tmp_path / "out"), num_server_rounds=ROUNDS, **SETTINGS)
    assert [e["after-round"] for e in events if e["event"] == "run-resume"] == [2]
    assert_same(whole, tmp_path / "out")


def test_a_finished_run_can_be_given_more_rounds(federate, tmp_path, read):
    federate(num_server_rounds=1)
    result, _ = federate(resume=str(tmp_path / "out"), num_server_rounds=2, round_timeout=60.0)
    assert result["rounds"] == {"last": 2, "selected": 2}
    assert [e["round"] for e in history(tmp_path / "out") if e["event"] == "round"] == [1, 2]
    scored = evaluations(tmp_path / "out")
    assert scored[-2:] == [(2, "clients"), (2, "server")]
    for _ in range(2):  # with no round left to run
        again, _ = federate(resume=str(tmp_path / "out"), num_server_rounds=2)
        for measure in ("accuracy", "macro-f1", "accuracy-with-completion"):
            assert again[measure] == result[measure]
        assert evaluations(tmp_path / "out") == scored


def test_a_last_round_that_was_not_scored_yet_is_scored_once(federate, wrap, tmp_path):
    settings = {"evaluate_every": 3, "fraction_evaluate": 0.0}
    with pytest.raises(RoundError):
        federate(fails_from(wrap, 3), num_server_rounds=3, **settings)
    out = tmp_path / "out"
    assert evaluations(out) == [(0, "server")]
    result, _ = federate(resume=str(out), num_server_rounds=2, **settings)
    assert result["rounds"] == {"last": 2, "selected": 2}
    assert evaluations(out) == [(0, "server"), (2, "server")]
    assert set(result["accuracy"]) >= {"complete", "image-only", "text-only"}


@pytest.fixture(scope="module")
def left_behind(federate_module, wrap, tmp_path_factory):
    """The folder of a run that failed in its second round."""
    out = tmp_path_factory.mktemp("interrupted") / "out"
    with pytest.raises(RoundError):
        federate_module(out, client_app=fails_from(wrap, 2))
    return out


@pytest.fixture
def interrupted(left_behind, tmp_path):
    """Such a folder of one's own."""
    return shutil.copytree(left_behind, tmp_path / "out")


def test_other_settings_are_refused_and_named(federate, interrupted):
    before = {p: p.read_bytes() for p in interrupted.rglob("*") if p.is_file()}
    with pytest.raises(CheckpointError, match="other settings") as error:
        federate(resume=str(interrupted), learning_rate=0.5, method="fedavg", wire_dtype="bf16")
    for text in (
        "learning-rate was 0.002 and is 0.5",
        "method was 'fedmvp' and is 'fedavg'",
        "wire-dtype was 'fp16' and is 'bf16'",
    ):
        assert text in str(error.value)
    assert "seed was" not in str(error.value)
    assert {p: p.read_bytes() for p in interrupted.rglob("*") if p.is_file()} == before


def test_the_preflight_refuses_it_before_anything_is_started(interrupted):
    from fedmvp_flwr import RunConfig
    from fedmvp_flwr.preflight.checks import preflight

    state = load_resume_point(interrupted).state
    out = str(interrupted)
    config = RunConfig.from_run_config({**state.config, "out-dir": out, "resume": out})
    assert preflight(config, state.clients).problems == []
    changed = config.changed(learning_rate=0.5)
    (problem,) = preflight(changed, state.clients).problems
    assert "learning-rate was 0.002 and is 0.5" in problem
    problems = preflight(config.changed(resume="/nowhere"), state.clients).problems
    assert any("is no folder" in problem for problem in problems)
    with pytest.raises(CheckpointError, match="list of classes"):
        require_resumable(config, ["quite another"])


def test_another_probe_is_refused(federate, interrupted, monkeypatch, tmp_path):
    federate(out=tmp_path / "other", data_seed=9, num_server_rounds=1)
    shutil.copyfile(tmp_path / "other" / "probe.safetensors", interrupted / "probe.safetensors")
    with pytest.raises(CheckpointError, match="another probe"):
        federate(resume=str(interrupted))


def test_a_lost_probe_is_generated_again(federate, interrupted):
    (interrupted / "probe.safetensors").unlink()
    result, _ = federate(resume=str(interrupted))
    assert result["status"] == "completed"


@pytest.mark.parametrize("damage", ["changed", "short", "gone"])
def test_a_changed_history_is_refused(federate, interrupted, damage):
    path = interrupted / "metrics.jsonl"
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:100] if damage == "short" else b"{}" + content[2:])
    with pytest.raises(CheckpointError, match="changed or lost"):
        federate(resume=str(interrupted))


def test_folders_without_a_finished_round_are_refused(federate, tmp_path):
    with pytest.raises(CheckpointError, match="is no folder"):
        federate(resume=str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="no round was finished"):
        federate(resume=str(tmp_path / "empty"))


def test_checkpoints_of_the_strategy_alone_are_refused(federate, tmp_path, interrupted):
    path = interrupted / "checkpoints" / "round-00001.safetensors"
    tensors, _ = load_tensors(path)
    from fedmvp_flwr.base.tensor_file import save_tensors

    save_tensors(path, tensors, {"round": 1, "config": {}})
    with pytest.raises(CheckpointError, match="another version"):
        federate(resume=str(interrupted))


def test_the_best_round_is_kept_and_training_stops(federate, tmp_path):
    result, events = federate(
        num_server_rounds=9,
        selection="clients",
        early_stopping_patience=1,
        learning_rate=1e-9,  # nothing is learned: the first evaluation stays the best
    )
    scores = [event["score"] for event in events if event["event"] == "selection"]
    best = scores.index(max(scores)) + 1
    assert result["rounds"]["selected"] == best
    assert result["rounds"]["last"] == len(scores) < 9
    assert evaluations(tmp_path / "out")
    (of_best,) = (
        event
        for event in events
        if event["event"] == "evaluation"
        if (event["round"], event["where"]) == (best, "server")
    )
    assert result["accuracy"] == of_best["accuracy"]
    tensors, metadata = load_tensors(
        tmp_path / "out" / "checkpoints" / f"best-{best:05d}.safetensors"
    )
    model, _ = load_tensors(tmp_path / "out" / "model.safetensors")
    assert metadata["round"] == best
    assert all(torch.equal(tensor, model[name]) for name, tensor in tensors.items())


def test_training_that_ended_early_is_not_gone_on_with(federate, tmp_path, monkeypatch):
    settings = {
        "num_server_rounds": 9,
        "selection": "clients",
        "early_stopping_patience": 1,
        "learning_rate": 1e-9,  # nothing is learned: the first evaluation stays the best
    }
    whole, out = tmp_path / "whole", tmp_path / "out"
    result, _ = federate(out=whole, **settings)

    def crash(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("server_app.run.finish", crash)
    with pytest.raises(OSError, match="No space"):
        federate(**settings)
    monkeypatch.undo()
    for _ in range(2):  # after the crash, and again when it is completed
        again, events = federate(resume=str(out), **settings)
        assert again["rounds"] == result["rounds"]
        assert [e["event"] for e in events].count("run-resume") == 1
        assert_same(whole, out)


def kept(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_command_again_does_not_cost_the_interrupted_run(federate, interrupted):
    before = kept(interrupted)
    with pytest.raises(ConfigError, match=r"round-00001\.safetensors.*resume = "):
        federate()
    assert kept(interrupted) == before
    result, _ = federate(resume=str(interrupted))
    assert result["status"] == "completed"


def test_another_run_is_not_gone_on_with_in_the_interrupted_ones_folder(
    federate, interrupted, tmp_path
):
    federate(out=tmp_path / "other", num_server_rounds=1)
    before = kept(interrupted)
    with pytest.raises(ConfigError, match="not completed"):
        federate(resume=str(tmp_path / "other"))
    assert kept(interrupted) == before


def test_a_completed_run_is_overwritten_once_the_preflight_has_passed(federate, tmp_path):
    federate(num_server_rounds=1)
    before = kept(tmp_path / "out")
    with pytest.raises(DataError, match="florra"):
        federate(dataset="florra")
    with pytest.raises(DataError, match="nowhere"):
        federate(resume=str(tmp_path / "out"), num_server_rounds=2, cache_dir="/dev/null/nowhere")
    assert kept(tmp_path / "out") == before
    result, events = federate(num_server_rounds=1, seed=5)
    assert result["config"]["seed"] == 5
    assert [e["event"] for e in events].count("run-start") == 1


def test_selection_by_the_server_needs_validation_samples(federate):
    with pytest.raises(DataError, match="validation-samples=200"):
        federate(selection="server")
