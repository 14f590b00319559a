"""ServerApp and ClientApp together, in one process, on the embedded data and models."""

import io
import json

import numpy as np
import pytest
import torch
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from rich.console import Console

from fedmvp_flwr.aggregation.compression import unwrap, wrap
from fedmvp_flwr.base.errors import FedMVPError, RoundError
from fedmvp_flwr.base.tensor_file import load_tensors
from fedmvp_flwr.reporting.run_record import load_run
from fedmvp_flwr.reporting.sections.costs import rejected
from fedmvp_flwr.simulation.progress_view import ProgressView

pytestmark = pytest.mark.slow

CONDITIONS = {"complete", "image-only", "text-only"}
UNSEEN = {"unseen-image", "unseen-text"}  # of classes that no owner has an image, or a text, of


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


@pytest.fixture(scope="module")
def plain(federate_module, tmp_path_factory):
    """The folder of a run with nothing special, report included; it filled the store."""
    out = tmp_path_factory.mktemp("plain") / "out"
    federate_module(out, report=True)
    return out


def test_a_run_leaves_what_is_promised(plain, read):
    result, events = read(plain)
    assert result["status"] == "completed"
    for measure in ("accuracy", "macro-f1"):
        assert set(result[measure]) - UNSEEN == CONDITIONS
        assert all(0 <= value <= 1 for value in result[measure].values())
        completed = set(result[f"{measure}-with-completion"])
        assert completed - UNSEEN == {"image-only", "text-only"}
    assert set(result["seconds"]) == {"completion", "features", "probe", "training", "total"}
    sizes = result["bytes"]
    arrays, _ = load_tensors(plain / "checkpoints" / "round-00002.safetensors")
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
    for name in ("model.safetensors", "probe.safetensors", "report.html"):
        assert (plain / name).stat().st_size > 0
    assert json.loads((plain / "completions" / "index.json").read_text())["completions"]
    assert len(list((plain / "checkpoints").iterdir())) == 2


def test_the_same_seed_gives_the_same_run_and_computes_nothing_twice(
    plain, federate, read, tmp_path, monkeypatch
):
    from fedmvp_flwr.foundation import bundle

    def refuse(*args, **kwargs):
        raise AssertionError("a foundation model was loaded although everything is in the store")

    first, _ = read(plain)
    monkeypatch.setattr(bundle, "load_model", refuse)
    second, _ = federate(out=tmp_path / "again")
    for key in ("accuracy", "macro-f1", "accuracy-with-completion", "hashes"):
        assert first[key] == second[key]
    models = [load_tensors(out / "model.safetensors")[0] for out in (plain, tmp_path / "again")]
    for name, tensor in models[0].items():
        assert torch.equal(tensor, models[1][name]), name
    assert all(counts["made"] == 0 for counts in second["completions"].values())


def test_another_seed_takes_other_holes(plain, federate, read):
    other, _ = federate(seed=4, num_server_rounds=1)
    assert read(plain)[0]["hashes"]["masks"] != other["hashes"]["masks"]


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
def test_every_method_runs_on_the_same_split_and_holes(plain, federate, read, settings):
    reference, _ = read(plain)
    result, events = federate(num_server_rounds=1, **settings)
    assert result["status"] == "completed"
    assert result["hashes"]["split"] == reference["hashes"]["split"]
    assert result["hashes"]["masks"] == reference["hashes"]["masks"]
    clients = [event for event in events if event["event"] == "client"]
    assert sum(event["samples"] for event in clients) == 48


BAD_REPLIES = {  # by round
    1: (raises, "the disk is on fire"),
    2: (replies_nan, "not finite"),
    3: (replies_wrong_shape, "shape"),
    4: (replies_fewer_keys, "missing arrays"),
    5: (replies_fewer_metrics, "missing metrics"),
}


def round_of(message):
    return message.content.config_records["config"]["server-round"]


def test_bad_replies_are_named_and_the_run_goes_on(federate, wrap):
    def misbehave(message, reply):
        return BAD_REPLIES[round_of(message)][0](message, reply)

    client = wrap(misbehave, lambda partition, server_round: partition == 1)
    settings = {"num_server_rounds": len(BAD_REPLIES), "evaluate_every": len(BAD_REPLIES)}
    result, events = federate(client, fraction_train=1.0, **settings)
    assert result["status"] == "completed"
    rounds = [event for event in events if event["event"] == "round"]
    assert [event["round"] for event in rounds] == list(BAD_REPLIES)
    for event in rounds:
        assert event["clients"] == [0, 2]
        assert [item["client"] for item in event["rejected"]] == [1]
        assert BAD_REPLIES[event["round"]][1] in event["rejected"][0]["reason"]


def scores_too_well(message, reply):
    reply.content.metric_records["metrics"]["accuracy.complete"] = 1.5
    return reply


def test_a_bad_evaluation_is_named_in_the_report_and_on_the_way(federate, wrap, tmp_path):
    def misbehave(message, reply):
        return (raises if round_of(message) == 1 else scores_too_well)(message, reply)

    app = wrap(misbehave, lambda partition, server_round: partition == 1, of="evaluate")
    result, events = federate(app)
    assert result["status"] == "completed"
    bad = [event for event in events if event["event"] == "evaluation-rejected"]
    assert [event["round"] for event in bad] == [1, 2]
    shown = io.StringIO()
    with ProgressView(Console(file=shown, width=200), 2) as view:
        for item in events:
            view.on_event(item)
    rows = rejected(load_run(tmp_path / "out")).rows
    for event, row, reason in zip(bad, rows, ("the disk is on fire", "accuracy"), strict=True):
        ((client, said),) = (item.values() for item in event["rejected"])
        assert client == 1
        assert reason in said
        line = f"round {event['round']}: the evaluation by client 1 was rejected: {said}"
        assert line in shown.getvalue().splitlines()
        assert row == [str(event["round"]), "Evaluation", "1", said]


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
        (
            {"missing_pattern": "random", "missing_ratio": 1.0},
            "(?s)Not every client is ready.*missing-ratio=1 leaves none",
        ),
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


def test_an_output_folder_that_cannot_be_written_is_refused(federate, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(FedMVPError, match="out-dir"):
        federate(out=blocked / "out")


def test_a_saved_probe_can_be_used_instead(plain, federate, read):
    settings = {"probe_source": f"file:{plain / 'probe.safetensors'}", "num_server_rounds": 1}
    result, _ = federate(**settings)
    assert result["hashes"]["probe"] == read(plain)[0]["hashes"]["probe"]
