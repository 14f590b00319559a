"""What the frozen models of a run have still to do, counted without loading one.

From the samples and from what the feature store has already; nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedmvp_flwr.base.samples import IMAGE, MODALITIES, TEXT, Dataset
from fedmvp_flwr.completion.contents import CompletionRecord
from fedmvp_flwr.completion.encoding import features_key
from fedmvp_flwr.completion.pool import completer_for
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.completion.requests import Request, all_sides, holes
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.dealing.client_samples import ClientSamples
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.server.data import server_test
from fedmvp_flwr.server.probe_source import generated_probe_file

COMPLETED = {IMAGE: "images to generate", TEXT: "texts to generate"}
ENCODED = {IMAGE: "image features", TEXT: "text features"}
PROBE = "pairs of the probe"
GATED = {IMAGE: "image features of the gate", TEXT: "text features of the gate"}


@dataclass
class Workload:
    """How many things have to be computed, each thing once.

    Attributes:
        total: by kind of work, all that the run needs.
        left: by kind of work, what the store does not have yet.
    """

    total: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the store has everything."""
        return not any(self.left.values())


def count_work(
    dataset: Dataset,
    config: RunConfig,
    models: FoundationModels,
    owned: Sequence[ClientSamples],
    store: FeatureStore,
) -> Workload:
    """Count what clients and server need, and what of it the store has.

    Args:
        dataset: the data set.
        config: the run's settings.
        models: the frozen models; none is loaded.
        owned: the samples of each client.
        store: the feature store that they share.
    """
    contents: dict[str, set[str]] = {modality: set() for modality in MODALITIES}
    completions: dict[str, set[str]] = {modality: set() for modality in MODALITIES}

    def add(request: Request) -> None:
        for modality in MODALITIES:
            there = [*request.digests[modality], *request.completer.pool_digests[modality]]
            contents[modality] |= {digest for digest in there if digest is not None}
            completions[modality] |= {item.key for item in request.wanted[modality] if item}

    for client in owned:
        its = completer_for(config.completion, config.data, dataset, models, client.train)
        add(Request(client.train, holes(client.train), its, dataset.class_names))
        add(Request(client.test, all_sides(client.test), its))
    test = server_test(dataset, config.missing, config.run.seed)
    its = completer_for(config.completion, config.data, dataset, models)
    add(Request(test, all_sides(test), its))
    makes = completer_class(config.completion).makes()
    work = _workload(contents, completions, models, store, makes)
    if config.generates_probe:
        pairs = len(dataset.class_names) * config.probe.probe_per_class
        made = generated_probe_file(
            dataset, config.probe, config.data.data_seed, models, cache_folder(config.run)
        ).is_file()
        work.total[PROBE], work.left[PROBE] = pairs, 0 if made else pairs
    return work


def _workload(
    contents: dict[str, set[str]],
    completions: dict[str, set[str]],
    models: FoundationModels,
    store: FeatureStore,
    generated: bool,
) -> Workload:
    work = Workload()
    for modality in MODALITIES:
        records = store.get_many(completions[modality])
        known = contents[modality] | {
            CompletionRecord.from_bytes(value).digest for value in records.values()
        }
        # What is not generated yet has no features yet; retrieval hands over what is encoded.
        ahead = len(completions[modality]) - len(records) if generated else 0
        for kinds, encoders in encodings(models):
            there = store.contains([features_key(modality, d, encoders) for d in known])
            work.total[kinds[modality]] = len(known) + ahead
            work.left[kinds[modality]] = len(known) - len(there) + ahead
        if generated:
            work.total[COMPLETED[modality]] = len(completions[modality])
            work.left[COMPLETED[modality]] = len(completions[modality]) - len(records)
    return work


def encodings(models: FoundationModels) -> list[tuple[dict[str, str], FoundationModels]]:
    """The kinds of features by modality, each with the models whose encoders compute them."""
    own = [(ENCODED, models)]
    return own if models.gate is models else [*own, (GATED, models.gate)]
