"""The ClientApp: an ordinary Flower client, plus one line for FedMVP."""

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits_app.task import Digits, DigitsNet, accuracy, client_digits, load_split, train
from fedmvp_flwr import register_identity

app = ClientApp()
register_identity(app)  # lets the strategy choose clients reproducibly


@app.train()
def train_locally(message: Message, context: Context) -> Message:
    """Train the global model on the client's digits; reply with the new arrays."""
    config = context.run_config
    model = _received_model(message)
    samples, _ = _own_digits(context)
    server_round = int(message.content["config"]["server-round"])
    rng = np.random.default_rng(
        [int(config["seed"]), int(context.node_config["partition-id"]), server_round]
    )
    loss = train(
        model,
        samples,
        int(config["local-epochs"]),
        int(config["batch-size"]),
        float(config["learning-rate"]),
        rng,
    )
    metrics = MetricRecord({"num-examples": len(samples), "loss": loss})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate_locally(message: Message, context: Context) -> Message:
    """Evaluate the global model on the client's held-out digits."""
    _, held_out = _own_digits(context)
    score = accuracy(_received_model(message), held_out)
    metrics = MetricRecord({"num-examples": len(held_out), "accuracy": score})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def _received_model(message: Message) -> DigitsNet:
    model = DigitsNet()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    return model


def _own_digits(context: Context) -> tuple[Digits, Digits]:
    seed = int(context.run_config["seed"])
    return client_digits(
        load_split(seed).clients,
        int(context.node_config["partition-id"]),
        int(context.node_config["num-partitions"]),
        float(context.run_config["dirichlet-alpha"]),
        seed,
    )
