"""Prompt templates against each other, on the same held-out pairs: what `fedmvp quality` tells."""

from collections.abc import Sequence

from fedmvp_flwr.base.devices import resolve_device
from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import Dataset, Sample
from fedmvp_flwr.completion.pool import completer_for
from fedmvp_flwr.completion.registry import completer_class, frozen_models
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import client_samples
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.quality.measure import Quality, held_out, measure_quality

_ANY_GATE = 0.05  # what the table tells is the same with each; 0 loads no gate


def run_quality(
    config: RunConfig,
    *,
    num_samples: int = 200,
    split: str = "test",
    client: int | None = None,
    num_clients: int = 10,
    templates: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> dict[str, Quality]:
    """Measure the completions of complete pairs of a split, or of one client's own.

    Args:
        config: of a run.
        num_samples: at most so many pairs.
        split: where the pairs come from; with retrieval from `own` pairs they take from each other.
        client: take the pairs that this client has complete, instead of a split.
        num_clients: how many clients share the training samples.
        templates: prompt templates to compare; default: the one that is set.
        on_progress: called with (stage, done, total).

    Returns:
        What was measured by prompt template; by the way of completion if nothing is prompted for.

    Raises:
        FedMVPError: no such split, too few complete pairs, or what a run would meet as well.
    """
    dataset = load_dataset(config.data, cache_folder(config.run))
    source = _source(dataset, config, split, client, num_clients)
    pairs = held_out(source, num_samples, config.run.seed)
    own = source if client is not None else pairs
    settings = config.completion
    if settings.gate_encoder and not settings.quality_gate:  # the gate's table needs its measure
        config = config.changed(quality_gate=_ANY_GATE)
    if completer_class(settings).prompted:
        names = templates or (settings.prompt_template,)
        choices = {name: config.changed(prompt_template=name) for name in names}
    else:
        choices = {settings.kind: config}
    results = {}
    for name, chosen in choices.items():
        models = frozen_models(chosen, str(resolve_device(chosen.run.device)))
        completer = completer_for(chosen.completion, chosen.data, dataset, models, own)
        completer.check_gate(models, chosen.completion)
        with FeatureStore(cache_folder(chosen.run)) as store:
            results[name] = measure_quality(
                pairs, dataset.class_names, completer, store, on_progress
            )
        models.release()
    return results


def _source(
    dataset: Dataset, config: RunConfig, split: str, client: int | None, num_clients: int
) -> Sequence[Sample]:
    if client is not None:
        if not 0 <= client < num_clients:
            raise DataError(f"--client {client} is not in [0, --num-clients {num_clients}).")
        node = Node(client, num_clients, cache_folder(config.run))
        return client_samples(dataset, node, config.data, config.missing, config.run).train
    if split not in dataset.splits:
        raise DataError(
            f"--split {split}: the data set has none of this name; it has "
            f"{', '.join(sorted(dataset.splits))}."
        )
    return dataset.splits[split]
