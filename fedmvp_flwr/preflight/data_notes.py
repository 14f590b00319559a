"""What the preflight says about the data: bad samples, splits, and what clients would own."""

from collections.abc import Sequence

from fedmvp_flwr.base.samples import IMAGE, TEST, TEXT, TRAIN, VALIDATION, Dataset
from fedmvp_flwr.completion.pool import takes_public_pairs
from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.data.dealing.client_samples import ClientSamples
from fedmvp_flwr.data.dealing.patterns import whole_test_mask
from fedmvp_flwr.data.reading.entries import LoadedDataset

Row = dict[str, int]
_SHOWN = 10


def client_row(client: int, samples: ClientSamples) -> Row:
    """Count what one client would own."""
    return {
        "client": client,
        "samples": len(samples.train),
        "classes": len({sample.label for sample in samples.train}),
        "complete": sum(sample.complete for sample in samples.train),
        "image missing": sum(not sample.has(IMAGE) for sample in samples.train),
        "text missing": sum(not sample.has(TEXT) for sample in samples.train),
        "held out": len(samples.test),
    }


def data_notes(dataset: Dataset, config: RunConfig, rows: Sequence[Row]) -> list[str]:
    """Lines about the data that a user should know and need not act on.

    Args:
        dataset: the data set.
        config: the run's settings.
        rows: of the clients, see `client_row`.
    """
    sizes = ", ".join(f"{name} {len(samples)}" for name, samples in dataset.splits.items())
    notes = [f"{len(dataset.class_names)} classes; samples: {sizes}."]
    if isinstance(dataset, LoadedDataset):
        notes += [f"Found: {line}" for line in dataset.findings.summary()]
    if dataset.splits[TEST]:
        tested = whole_test_mask(
            dataset.splits[TEST], config.missing, config.run.seed, len(dataset.class_names)
        ).present
        lacking = [f"{flags.count(False)} without {name}" for name, flags in tested.items()]
        notes.append(f"Test set of the server: {', '.join(lacking)}.")
    else:
        notes.append("The server has no test set.")
    notes += _unused_splits(dataset, config)
    train = {sample.label for sample in dataset.splits[TRAIN]}
    test = {sample.label for sample in dataset.splits[TEST]}
    untrained = [dataset.class_names[label] for label in sorted(test - train)]
    if untrained:
        shown = ", ".join(untrained[:_SHOWN]) + (", ..." if len(untrained) > _SHOWN else "")
        notes.append(f"{len(untrained)} classes are tested but nobody trains on them: {shown}.")
    return notes + _client_notes(config.completion, config.run.fraction_evaluate, rows)


def _unused_splits(dataset: Dataset, config: RunConfig) -> list[str]:
    """A line on samples that have a split of their own which this run has no use for."""
    used = {TRAIN, TEST}
    if config.run.selected_by != "none":
        used.add(VALIDATION)
    probes = config.needs_probe and config.probe.probe_source == "public"
    if probes or takes_public_pairs(config.completion):
        used.add(config.data.public_split)
    unused = [
        f"{name} ({len(samples)} samples)"
        for name, samples in dataset.splits.items()
        if samples and name not in used
    ]
    if not unused:
        return []
    return [
        f"In splits that nobody uses in this run: {', '.join(unused)}. Models are selected on "
        f"'{VALIDATION}' (selection), public pairs come from public-split; train-split='a+b' and "
        "test-split='a+b' join splits."
    ]


def _client_notes(
    completion: CompletionSettings, fraction_evaluate: float, rows: Sequence[Row]
) -> list[str]:
    notes = []
    completes = completer_class(completion).completes
    pairless = [row["client"] for row in rows if not row["complete"]]
    if pairless and completion.incomplete == "drop" and not completes:
        notes.append(f"Clients {pairless} have nothing to train on: they only evaluate.")
    elif pairless and completes and completion.quality_gate:
        rule = "the median of the others'" if len(pairless) < len(rows) else "-1: all are accepted"
        notes.append(
            f"Clients {pairless} have no complete pair: the threshold of their gate is {rule}."
        )
    unevaluated = [row["client"] for row in rows if not row["held out"]]
    if unevaluated and fraction_evaluate:
        notes.append(f"Clients {unevaluated} have no held-out sample to evaluate on.")
    return notes
