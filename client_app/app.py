"""The ClientApp: message -> node identity -> features -> train or evaluate -> reply.

Foundation models run in `prepare` alone, before round 1; training and evaluation read features
from disk and import none of them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedmvp_flwr.aggregation.compression import unwrap, wrap
from fedmvp_flwr.aggregation.nodes import identity_fields, register_identity
from fedmvp_flwr.aggregation.wire import check_message_size, pack, unpack
from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import DataError, FedMVPError
from fedmvp_flwr.base.seeds import seed_for, torch_generator
from fedmvp_flwr.client.data import ClientData
from fedmvp_flwr.client.log import node_event
from fedmvp_flwr.client.work import client_data, discreet, prepare_node, release_models
from fedmvp_flwr.completion.gating import ACCEPT_ALL
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.node import Node, read_node
from fedmvp_flwr.model.evaluation import evaluate_conditions
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.model.training import cosine_decay, train
from fedmvp_flwr.protocol.class_counts import ClassCounts
from fedmvp_flwr.protocol.messages import (
    CLASS_NAMES,
    GATE_FALLBACK,
    PREPARE_ACTION,
    PREPARED,
    PROBLEM,
    SUMMARY,
)
from fedmvp_flwr.protocol.scores import client_metrics

_LOGGED = ("samples", "held-out", "complete", "missing", "completions")  # counts

app = ClientApp()
register_identity(app)


@app.query(PREPARE_ACTION)
def prepare(message: Message, context: Context) -> Message:
    """Complete and encode the client's samples; reply with counts, or with what is wrong."""
    reply: dict[str, Any] = {}
    try:
        config, node = _who(context)
        reply = identity_fields(context.node_config)
        with discreet(node), node_event(node, "prepare") as event:
            data = prepare_node(config, node, _classes(message))
            summary = data.summary.to_json()
            event.update({key: summary[key] for key in _LOGGED})
        reply[SUMMARY] = json.dumps(summary)
    except FedMVPError as error:
        reply[PROBLEM] = str(error)
    return Message(RecordDict({PREPARED: ConfigRecord(reply)}), reply_to=message)


@app.train()
def train_locally(message: Message, context: Context) -> Message:
    """Train the global model on the client's features; reply with arrays and losses."""
    release_models()  # no frozen model in memory while training
    config, node = _who(context)
    server_round = int(_config_record(message)["server-round"])
    purpose = ("train", node.key, server_round)
    with discreet(node), node_event(node, "train") as event, torch.random.fork_rng():
        event["round"] = server_round
        data, network = _load(message, config, node)
        if not len(data.train):
            raise DataError(f"Client {node.key} has nothing to train on.")
        torch.manual_seed(seed_for(config.run.seed, *purpose, "dropout"))  # of the forked generator
        decay = cosine_decay(server_round, config.run.num_server_rounds)
        losses = train(
            network,
            data.train,
            config.method,
            config.training,
            config.training.learning_rate * decay,
            torch_generator(config.run.seed, *purpose),
            _counts(message).real_shares(),
        )
        arrays = wrap(pack(network.state_dict(), config.run.wire_dtype))
        size = check_message_size(arrays, config.run.max_message_mb)
        event.update({"samples": len(data.train), "bytes": size, "loss": losses["total"]})
    metrics = MetricRecord({"num-examples": len(data.train), **losses})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate_locally(message: Message, context: Context) -> Message:
    """Evaluate the global model on the client's held-out samples, under every condition."""
    config, node = _who(context)
    with discreet(node), node_event(node, "evaluate") as event:
        event["round"] = int(_config_record(message)["server-round"])
        data, network = _load(message, config, node)
        count = len(data.held_out)
        if not count:
            raise DataError(f"Client {node.key} has no held-out sample to evaluate on.")
        test = data.test(_counts(message).unseen())
        scores = client_metrics(evaluate_conditions(network, test), test)
        event.update({"samples": count, **scores})
    metrics = MetricRecord({"num-examples": count, **scores})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _who(context: Context) -> tuple[RunConfig, Node]:
    config = RunConfig.from_run_config(context.run_config)
    return config, read_node(context.node_config, config.run, context.node_id)


def _load(message: Message, config: RunConfig, node: Node) -> tuple[ClientData, FedMVPNetwork]:
    classes = _classes(message)
    fallback = _config_record(message).get(GATE_FALLBACK, ACCEPT_ALL)
    data = client_data(config, node, classes).gated(float(fallback))
    network = FedMVPNetwork(config.training, data.train_set.real.widths, len(classes))
    arrays = next(iter(message.content.array_records.values()), ArrayRecord())
    network.load_state_dict(unpack(unwrap(arrays)))
    return data, network.to(resolve_device(config.run.device))


def _config_record(message: Message) -> Mapping[str, Any]:
    return next(iter(message.content.config_records.values()))


def _counts(message: Message) -> ClassCounts:
    return ClassCounts.of_record(_config_record(message))


def _classes(message: Message) -> Sequence[str]:
    """The run's class names, in the order of the labels; every message brings them."""
    return [str(name) for name in _config_record(message)[CLASS_NAMES]]
