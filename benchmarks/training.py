"""How many samples a second the local training takes on one core, for FedMVP and FedAvg.

Purpose: the training figures of docs/performance.md, and a check that nobody made it slower.
Command: python -m benchmarks.training [--cache DIR] [--repeats 5]
Time:    that of preparing ten clients of Flora once (a minute), then seconds.
Metric:  samples per second of processor time, the best of the repeats, one torch thread.
"""

import argparse
import sys
import time
from pathlib import Path

import torch

from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.client.data import ClientData
from fedmvp_flwr.client.preparation import prepare_client
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.model.training import train
from fedmvp_flwr.protocol.class_counts import ClassCounts

_CLIENTS = 10
_METHODS = {
    "FedMVP": {"method": "fedmvp"},
    "FedAvg, mask": {"method": "fedavg", "completion": "none"},
}


def prepared(config: RunConfig) -> tuple[list[ClientData], int]:
    """All clients' features, and the number of classes."""
    cache = cache_folder(config.run)
    dataset = load_dataset(config.data, cache)
    models = frozen_models(config, "cpu")
    nodes = [Node(client, _CLIENTS, cache) for client in range(_CLIENTS)]
    return [prepare_client(dataset, config, node, models) for node in nodes], len(
        dataset.class_names
    )


def samples_per_second(config: RunConfig, clients: list[ClientData], classes: int) -> float:
    """One epoch of every client in turn, with a fresh network."""
    shares = ClassCounts.of([client.summary for client in clients], classes).real_shares()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = FedMVPNetwork(config.training, clients[0].train_set.real.widths, classes)
        training = config.training.model_copy(update={"local_epochs": 1})
        batches = [client.train for client in clients]
        rate, began = config.training.learning_rate, time.process_time()
        for number, batch in enumerate(batches):
            train(network, batch, config.method, training, rate, torch_generator(0, number), shares)
    return sum(map(len, batches)) / (time.process_time() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    where = {"cache-dir": str(arguments.cache.absolute())} if arguments.cache else {}
    for name, settings in _METHODS.items():
        config = RunConfig.from_run_config({**where, **settings})
        clients, classes = prepared(config)
        torch.set_num_threads(1)
        best = max(samples_per_second(config, clients, classes) for _ in range(arguments.repeats))
        sys.stdout.write(f"{name}: {best:.0f} samples/s\n")


if __name__ == "__main__":
    main()
