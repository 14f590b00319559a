"""Doing the expensive part ahead of a run: `fedmvp complete`."""

from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.client.preparation import prepare_client
from fedmvp_flwr.client.prepared_file import save_client
from fedmvp_flwr.client.work import node_dataset
from fedmvp_flwr.completion.pipeline import prepare
from fedmvp_flwr.completion.pool import run_completer
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.completion.requests import Request, all_sides
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node, require_lasting
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.protocol.summary import Completions, Summary
from fedmvp_flwr.server.data import server_test
from fedmvp_flwr.server.probe_source import prepare_probe


def prepare_one(
    config: RunConfig, node: Node, on_progress: Progress | None = None
) -> dict[str, int]:
    """Complete and encode what one node owns, so that its rounds need no foundation model.

    Args:
        config: the run's settings; with a folder of the node's own, `class-names-file` or the
            run's data set says which classes there are.
        node: the node.
        on_progress: called with (stage, done, total).

    Returns:
        How many training samples are ready, and how many completions were made, were in the store
        already, and are turned down by the quality gate.

    Raises:
        ConfigError: nothing but Flower's id would tell the node from others.
        FedMVPError: what a run would meet as well.
    """
    require_lasting(node)
    classes = load_dataset(config.data, cache_folder(config.run)).class_names
    own = node.own(config)
    models = frozen_models(own, str(resolve_device(config.run.device)))
    dataset = node_dataset(node, config.data, classes)
    data = prepare_client(dataset, own, node, models, on_progress)
    save_client(config, node, classes, data)
    return _summed([data.summary])


def prepare_all(
    config: RunConfig, num_clients: int, on_progress: Progress | None = None
) -> dict[str, int]:
    """Complete and encode the samples of every client, the server's test set and the probe.

    Args:
        config: the run's settings.
        num_clients: how many clients share the training samples.
        on_progress: called with (stage, done, total).

    Returns:
        As for `prepare_one`.

    Raises:
        FedMVPError: what a run would meet as well.
    """
    cache = cache_folder(config.run)
    dataset = load_dataset(config.data, cache)
    models = frozen_models(config, str(resolve_device(config.run.device)))
    summaries = []
    for client in range(num_clients):
        node = Node(client, num_clients, cache)
        summaries.append(prepare_client(dataset, config, node, models).summary)
        if on_progress:
            on_progress("clients", client + 1, num_clients)
    test = server_test(dataset, config.missing, config.run.seed)
    completer = run_completer(config.completion, config.data, dataset, models)
    with FeatureStore(cache) as store:
        prepare([Request(test, all_sides(test), completer)], store, on_progress)
    if config.needs_probe:
        prepare_probe(dataset, config.probe, config.data, models, cache)
    return _summed(summaries)


def _summed(summaries: list[Summary]) -> dict[str, int]:
    counts = [made for summary in summaries for made in summary.completions.values()]
    return {
        "clients": len(summaries),
        "samples": sum(summary.samples for summary in summaries),
        **{kind: sum(getattr(c, kind) for c in counts) for kind in Completions.model_fields},
    }
