"""The ClientApp: message -> node identity -> features -> train or evaluate -> reply.

Foundation models run in `prepare` alone, before round 1; training and evaluation read features
from the store and import none of them.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedmvp_flwr.aggregation.nodes import register_identity
from fedmvp_flwr.aggregation.scores import client_metrics
from fedmvp_flwr.aggregation.wire import check_message_size, pack, unpack
from fedmvp_flwr.completion.quality import ACCEPT_ALL
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.registry import load_dataset
from fedmvp_flwr.devices import resolve_device
from fedmvp_flwr.errors import DataError, FedMVPError
from fedmvp_flwr.evaluation import evaluate_conditions
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.node import Node, read_node
from fedmvp_flwr.preparation import GATE_FALLBACK, ClientData, prepare_client
from fedmvp_flwr.seeds import seed_for, torch_generator
from fedmvp_flwr.training import train

_CLIENTS_IN_MEMORY = 4  # a simulation's actor serves several clients; a node serves one

app = ClientApp()
register_identity(app)


@app.query("prepare")
def prepare(message: Message, context: Context) -> Message:
    """Complete and encode the client's samples; reply with counts, or with what is wrong."""
    try:
        config = RunConfig.from_run_config(context.run_config)
        node = read_node(context.node_config, config)
        data = _client_data(json.dumps(config.to_run_config()), node)
        reply = {"summary": json.dumps(data.summary)}
    except FedMVPError as error:
        reply = {"problem": str(error)}
    return Message(RecordDict({"prepared": ConfigRecord(dict(reply))}), reply_to=message)


@app.train()
def train_locally(message: Message, context: Context) -> Message:
    """Train the global model on the client's features; reply with arrays and losses."""
    _models.cache_clear()  # no frozen model in memory while training
    config, node, data, network = _load(message, context)
    if not len(data.train):
        raise DataError(f"Client {node.partition_id} has nothing to train on.")
    server_round = int(_config_record(message)["server-round"])
    purpose = ("train", node.partition_id, server_round)
    with torch.random.fork_rng():  # dropout draws from the global generator
        torch.manual_seed(seed_for(config.seed, *purpose, "dropout"))
        losses = train(
            network, data.train, config, server_round, torch_generator(config.seed, *purpose)
        )
    arrays = pack(network.state_dict(), config.wire_dtype)
    check_message_size(arrays, config.max_message_mb)
    metrics = MetricRecord({"num-examples": len(data.train), **losses})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate_locally(message: Message, context: Context) -> Message:
    """Evaluate the global model on the client's held-out samples, under every condition."""
    _, node, data, network = _load(message, context)
    count = data.summary["held-out"]
    if not count:
        raise DataError(f"Client {node.partition_id} has no held-out sample to evaluate on.")
    num_classes = network.classifier.head.out_features
    scores = client_metrics(evaluate_conditions(network, data.test, num_classes), data.test)
    metrics = MetricRecord({"num-examples": count, **scores})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _load(message: Message, context: Context) -> tuple[RunConfig, Node, ClientData, FedMVPNetwork]:
    config = RunConfig.from_run_config(context.run_config)
    node = read_node(context.node_config, config)
    config_json = json.dumps(config.to_run_config())
    data = _client_data(config_json, node)
    if not data.summary["complete"]:  # no pair of its own to calibrate the quality gate by
        fallback = float(_config_record(message).get(GATE_FALLBACK, ACCEPT_ALL))
        data = _client_data(config_json, node, fallback)
    modalities = data.train.modalities
    network = FedMVPNetwork.from_config(
        config,
        {name: m.tokens.shape[2] for name, m in modalities.items()},
        {name: m.pooled.shape[1] for name, m in modalities.items()},
        len(load_dataset(config).class_names),
    )
    arrays = next(iter(message.content.array_records.values()), ArrayRecord())
    network.load_state_dict(unpack(arrays))
    return config, node, data, network.to(resolve_device(config.device))


@lru_cache(maxsize=_CLIENTS_IN_MEMORY)
def _client_data(config_json: str, node: Node, fallback: float = ACCEPT_ALL) -> ClientData:
    config = RunConfig.from_run_config(json.loads(config_json))
    models = _models(config_json)
    return prepare_client(load_dataset(config), config, node, models, fallback=fallback)


@lru_cache(maxsize=1)
def _models(config_json: str) -> FoundationModels:
    config = RunConfig.from_run_config(json.loads(config_json))
    return FoundationModels.from_config(config, str(resolve_device(config.device)))


def _config_record(message: Message) -> Mapping[str, Any]:
    return next(iter(message.content.config_records.values()))
