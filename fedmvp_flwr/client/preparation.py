"""From what a client owns to its features: what must be done once, before any round.

A node and `fedmvp complete` both come through here, so that whoever comes first fills the store and
the other finds it filled.
"""

from collections.abc import Sequence

from fedmvp_flwr.base.files import record_hash
from fedmvp_flwr.base.progress import Progress
from fedmvp_flwr.base.samples import MODALITIES, Dataset, Sample
from fedmvp_flwr.client.data import ClientData
from fedmvp_flwr.completion.gating import accept, calibrate_threshold, training_batch
from fedmvp_flwr.completion.pipeline import prepare
from fedmvp_flwr.completion.pool import completer_for
from fedmvp_flwr.completion.requests import Request, all_sides, holes
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.node import Node
from fedmvp_flwr.data.dealing.client_samples import client_samples
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.protocol.summary import Completions, Summary


def prepare_client(
    dataset: Dataset,
    config: RunConfig,
    node: Node,
    models: FoundationModels,
    on_progress: Progress | None = None,
) -> ClientData:
    """Complete, encode and gate everything that a client owns.

    Args:
        dataset: the data set that the client has its part of.
        config: the run's settings.
        node: who the client is.
        models: the frozen models.
        on_progress: called with (stage, done, total).

    Returns:
        Its features. With `incomplete='drop'` there may be nothing to train on; the summary's
        `trainable` says so.
    """
    samples = client_samples(dataset, node, config.data, config.missing, config.run)
    completer = completer_for(config.completion, config.data, dataset, models, samples.train)
    requests = [
        Request(samples.train, holes(samples.train), completer, dataset.class_names),
        Request(samples.test, all_sides(samples.test), completer),
    ]
    with FeatureStore(node.cache_dir) as store:
        train, test = prepare(requests, store, on_progress)
    threshold = calibrate_threshold(train.pair_similarity, config.completion.quality_gate)
    accepted = accept(train, threshold, config.completion)
    classes = len(dataset.class_names)
    summary = Summary(
        partition_id=node.partition_id,
        name=node.name,
        samples=len(samples.train),
        held_out=len(samples.test),
        complete=sum(sample.complete for sample in samples.train),
        trainable=len(training_batch(train, accepted, config.completion)),
        missing={m: sum(not sample.has(m) for sample in samples.train) for m in MODALITIES},
        labels=_by_class(samples.train, classes),
        real={m: _by_class([s for s in samples.train if s.has(m)], classes) for m in MODALITIES},
        completions={
            name: Completions(
                made=train.made.get(name, 0),
                reused=train.reused.get(name, 0),
                rejected=int((train.completed[name].present & ~accepted[name]).sum()),
            )
            for name in accepted
        },
        gate_threshold=threshold,
        widths=train.real.widths,
        seconds=dict(train.seconds),
        models=models.identities(),
        hashes={
            "split": samples.split_hash,
            "mask": samples.mask_hash,
            "test-mask": samples.test_mask_hash,
            "keys": record_hash({"keys": list(train.keys)}),
        },
    )
    return ClientData(config.completion, train, test, threshold, summary)


def _by_class(samples: Sequence[Sample], classes: int) -> list[int]:
    counts = [0] * classes
    for sample in samples:
        counts[sample.label] += 1
    return counts
