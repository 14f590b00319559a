"""How much memory a process takes that serves many clients, as an actor of a simulation does.

Purpose: the memory figures of docs/performance.md, and a check that nobody made it grow.
Command: python -m benchmarks.client_memory settings.toml --clients 10 [--largest]
         (settings.toml holds run-config keys; `cache-dir` decides what there is to compute)
Time:    that of one round of every client, after the encoding that is left to do.
Metric:  resident memory after each step, its peak, and a hash of what training gave.
"""

import argparse
import hashlib
import sys
import tomllib
from pathlib import Path

import torch

from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.client.work import client_data, prepare_node, release_models
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import split_dataset
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.model.evaluation import evaluate_conditions
from fedmvp_flwr.model.network import FedMVPNetwork
from fedmvp_flwr.model.training import train
from fedmvp_flwr.protocol.class_counts import ClassCounts

_STATUS = Path("/proc/self/status")
_SHOWN = {"VmRSS": "resident", "RssAnon": "of its own", "RssFile": "mapped files", "VmHWM": "peak"}


def resident() -> dict[str, float]:
    """MiB of this process, by kind (Linux)."""
    pairs = (line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return {_SHOWN[key]: int(value.split()[0]) / 1024 for key, value in pairs if key in _SHOWN}


def report(step: str) -> None:
    """Print a line about the memory by now."""
    figures = ", ".join(f"{name} {value:.0f}" for name, value in resident().items())
    sys.stdout.write(f"{step}: {figures} MiB\n")
    sys.stdout.flush()


def serve(config: RunConfig, clients: int, *, largest: bool = False) -> str:
    """Prepare, train and evaluate clients in turn; return a hash of the results.

    Args:
        config: the run's settings.
        clients: how many share the training samples.
        largest: serve the one with the most samples alone, as a node does.
    """
    digest = hashlib.sha256()
    cache = cache_folder(config.run)
    dataset = load_dataset(config.data, cache)
    classes = dataset.class_names
    nodes = [Node(client, clients, cache) for client in range(clients)]
    if largest:
        dealt = zip(*split_dataset(dataset, config.data, config.run, clients, cache), strict=True)
        sizes = [sum(map(len, parts)) for parts in dealt]
        nodes = [nodes[sizes.index(max(sizes))]]
    del dataset
    for node in nodes:
        prepare_node(config, node, classes)
        report(f"client {node.partition_id} prepared")
    for node in nodes:
        release_models()
        data = client_data(config, node, classes)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = FedMVPNetwork(config.training, data.train_set.real.widths, len(classes))
            rate, generator = config.training.learning_rate, torch_generator(0, node.partition_id)
            shares = ClassCounts.of([data.summary], len(classes)).real_shares()
            train(network, data.train, config.method, config.training, rate, generator, shares)
        scores = evaluate_conditions(network, data.test)
        for _, tensor in sorted(network.state_dict().items()):
            digest.update(tensor.numpy().tobytes())
        digest.update(repr(scores).encode())
        report(f"client {node.partition_id} trained and evaluated")
    return digest.hexdigest()


def main() -> None:
    """Run with the settings of a TOML file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", type=Path)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--largest", action="store_true", help="serve the largest client alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # as a client of a simulation has them
    report("imports")
    config = RunConfig.from_run_config(tomllib.loads(arguments.settings.read_text()))
    digest = serve(config, arguments.clients, largest=arguments.largest)
    sys.stdout.write(f"results: {digest}\n")


if __name__ == "__main__":
    main()
