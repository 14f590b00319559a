"""ServerApp and ClientApp together, in one process, on the embedded data and models."""

import io
import json

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from rich.console import Console

from fedmvp_flwr.aggregation.compression import unwrap, wrap
from fedmvp_flwr.base.errors import DataError, FedMVPError, RoundError
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.reporting.run_record import load_run
from fedmvp_flwr.reporting.sections.costs import rejected
from fedmvp_flwr.simulation.progress_view import ProgressView

CONDITIONS = {"complete", "image-only", "text-only"}


def raises(message, reply):
    raise RuntimeError("the disk is on fire")


def with_arrays(reply, change):
    """The reply with its first array as `change` makes it."""
    arrays = unwrap(reply.content.array_records["arrays"])
    name = next(iter(arrays))
    changed = ArrayRecord({**arrays, name: Array(change(name, arrays[name]))})
    reply.content.array_records["arrays"] = wrap(changed)
    return reply


def replies_nan(message, reply):
    return with_arrays(reply, lambda name, array: np.full(array.shape, np.nan, dtype=np.float16))


def replies_wrong_shape(message, reply):
    return with_arrays(reply, lambda name, array: np.zeros((2, 2), dtype=np.float16))


def replies_fewer_keys(message, reply):
    arrays = unwrap(reply.content.array_records["arrays"])
    kept = ArrayRecord({name: arrays[name] for name in list(arrays)[1:]})
    metrics = reply.content.metric_records["metrics"]
    return Message(RecordDict({"arrays": kept, "metrics": metrics}), reply_to=message)


def replies_fewer_metrics(message, reply):
    reply.content.metric_records["metrics"] = MetricRecord({"num-examples": 1})
    return reply


def test_a_run_leaves_what_is_promised(federate, tmp_path):
    result, events = federate()
    assert result["status"] == "completed"
    for measure in ("accuracy", "macro-f1"):
        assert set(result[measure]) == CONDITIONS
        assert all(0 <= value <= 1 for value in result[measure].values())
        assert set(result[f"{measure}-with-completion"]) == {"image-only", "text-only"}
    assert set(result["seconds"]) == {"completion", "features", "probe", "training", "total"}
    sizes = result["bytes"]
    arrays, _ = load_tensors(tmp_path / "out" / "checkpoints" / "round-00002.safetensors")
    in_16_bit = 2 * sum(tensor.numel() for tensor in arrays.values())
    for way in ("upload", "download"):
        assert 0 < sizes[f"{way}-per-client-round"] < in_16_bit, "deflated, header included"
    assert set(result["completions"]) == {"image", "text"}
    assert set(result["hashes"]) == {"split", "masks", "probe", "code"}
    rounds = [event for event in events if event["event"] == "round"]
    assert [event["round"] for event in rounds] == [1, 2]
    for event in rounds:
        assert sum(event["weights"]) == pytest.approx(1)
        assert len(event["similarity"]) == len(event["clients"]) == 2
        assert event["rejected"] == []
    places = {event["where"] for event in events if event["event"] == "evaluation"}
    assert places == {"server", "clients"}
    out = tmp_path / "out"
    assert (out / "model.safetensors").exists()
    assert (out / "probe.safetensors").exists()
    assert json.loads((out / "completions" / "index.json").read_text())["completions"]
    assert len(list((out / "checkpoints").iterdir())) == 2


def test_the_same_seed_gives_the_same_run_and_computes_nothing_twice(federate, tmp_path):
    first, _ = federate(out=tmp_path / "a", seed=3)
    second, _ = federate(out=tmp_path / "b", seed=3)
    other, _ = federate(out=tmp_path / "c", seed=4)
    for key in ("accuracy", "macro-f1", "accuracy-with-completion", "hashes"):
        assert first[key] == second[key]
    assert first["hashes"]["masks"] != other["hashes"]["masks"]
    models = [load_tensors(tmp_path / name / "model.safetensors")[0] for name in "ab"]
    for name, tensor in models[0].items():
        assert torch.equal(tensor, models[1][name]), name
    assert all(counts["made"] == 0 for counts in second["completions"].values())


def test_a_warm_run_loads_no_foundation_model(federate, monkeypatch):
    federate()
    from fedmvp_flwr.foundation import bundle

    def refuse(*args, **kwargs):
        raise AssertionError("a foundation model was loaded although everything is in the store")

    monkeypatch.setattr(bundle, "load_model", refuse)
    result, _ = federate()
    assert result["status"] == "completed"


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "fedavg", "completion": "none", "incomplete": "drop"},
        {"method": "fedavg", "completion": "none", "incomplete": "mask"},
        {"method": "fedavg", "completion": "foundation"},
        {"method": "fedmvp", "weighting": "uniform"},
        {"method": "fedmvp", "weighting": "importance-examples", "graph_temperature": 0.1},
        {"method": "fedmvp", "wire_dtype": "bf16"},
        {"method": "fedmvp", "wire_dtype": "fp32"},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_method_runs_on_the_same_split_and_holes(federate, tmp_path, settings):
    reference, _ = federate(out=tmp_path / "reference", num_server_rounds=1)
    result, events = federate(num_server_rounds=1, **settings)
    assert result["status"] == "completed"
    assert result["hashes"]["split"] == reference["hashes"]["split"]
    assert result["hashes"]["masks"] == reference["hashes"]["masks"]
    clients = [event for event in events if event["event"] == "client"]
    assert sum(event["samples"] for event in clients) == 48


@pytest.mark.parametrize(
    ("misbehave", "reason"),
    [
        (raises, "the disk is on fire"),
        (replies_nan, "not finite"),
        (replies_wrong_shape, "shape"),
        (replies_fewer_keys, "missing arrays"),
        (replies_fewer_metrics, "missing metrics"),
    ],
)
def test_a_bad_reply_is_named_and_the_run_goes_on(federate, wrap, misbehave, reason):
    client = wrap(misbehave, lambda partition, server_round: partition == 1)
    result, events = federate(client, fraction_train=1.0)
    assert result["status"] == "completed"
    rounds = [event for event in events if event["event"] == "round"]
    assert len(rounds) == 2
    for event in rounds:
        assert event["clients"] == [0, 2]
        assert [item["client"] for item in event["rejected"]] == [1]
        assert reason in event["rejected"][0]["reason"]


def scores_too_well(message, reply):
    reply.content.metric_records["metrics"]["accuracy.complete"] = 1.5
    return reply


@pytest.mark.parametrize(
    ("misbehave", "reason"), [(raises, "the disk is on fire"), (scores_too_well, "accuracy")]
)
def test_a_bad_evaluation_is_named_in_the_report_and_on_the_way(
    federate, wrap, tmp_path, misbehave, reason
):
    app = wrap(misbehave, lambda partition, server_round: partition == 1, of="evaluate")
    result, events = federate(app, num_server_rounds=1)
    assert result["status"] == "completed"
    (event,) = (event for event in events if event["event"] == "evaluation-rejected")
    assert event["round"] == 1
    ((client, said),) = (item.values() for item in event["rejected"])
    assert client == 1
    assert reason in said
    shown = io.StringIO()
    with ProgressView(Console(file=shown, width=200), 1) as view:
        for item in events:
            view.on_event(item)
    line = f"round 1: the evaluation by client 1 was rejected: {said}"
    assert line in shown.getvalue().splitlines()
    (row,) = rejected(load_run(tmp_path / "out")).rows
    assert row == ["1", "Evaluation", "1", said]


def test_a_round_without_a_valid_reply_fails_the_run(federate, wrap, tmp_path, read):
    client = wrap(raises, lambda partition, server_round: server_round == 2)
    with pytest.raises(RoundError, match="no valid reply"):
        federate(client)
    result, events = read(tmp_path / "out")
    assert result["status"] == "failed"
    assert "no valid reply" in result["reason"]
    assert events[-1]["event"] == "run-end"
    assert len(list((tmp_path / "out" / "checkpoints").iterdir())) == 1, "round 1 must be kept"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"missing_ratio": 1.0}, "missing-ratio=1 leaves none"),
        ({"train_samples": 2}, "3 clients cannot share 2"),
        ({"probe_source": "file:/nowhere.safetensors"}, "probe /nowhere.safetensors"),
        ({"max_message_mb": 0.001}, "max-message-mb"),
        ({"captioner": "transformers:local:/nowhere"}, "captioner"),
        ({"dataset": "florra"}, "did you mean 'flora'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_input_is_named_before_round_1(federate, tmp_path, settings, message):
    with pytest.raises(FedMVPError, match=message):
        federate(**settings)
    events = (tmp_path / "out" / "metrics.jsonl").read_text()
    assert '"event": "round"' not in events


def test_all_clients_with_a_problem_are_named(federate):
    with pytest.raises(DataError, match="Not every client is ready"):
        federate(missing_ratio=1.0)


def test_an_output_folder_that_cannot_be_written_is_refused(federate, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(FedMVPError, match="out-dir"):
        federate(out=blocked / "out")


def test_a_saved_probe_can_be_used_instead(federate, tmp_path):
    first, _ = federate(out=tmp_path / "first")
    probe = str(tmp_path / "first" / "probe.safetensors")
    second, _ = federate(out=tmp_path / "second", probe_source=f"file:{probe}")
    assert second["hashes"]["probe"] == first["hashes"]["probe"]
