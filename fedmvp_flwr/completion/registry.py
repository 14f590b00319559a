"""The ways of completion by the setting `completion`. A new one is one class and one line here."""

from collections.abc import Callable, Sequence

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion.completers import FoundationCompleter, NamesCompletions
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

Way = Callable[[FoundationModels, RunConfig, Sequence[Sample]], NamesCompletions]

WAYS: dict[str, Way] = {
    "foundation": lambda models, config, _: FoundationCompleter(models, config),
    "retrieval": RetrievalCompleter,
}


def completer_for(
    models: FoundationModels, config: RunConfig, pool: Sequence[Sample] = ()
) -> NamesCompletions | None:
    """Return the completer that `completion` names, None for `none`.

    Args:
        models: the frozen models.
        config: names the way and its settings.
        pool: the samples that `retrieval` may take from.
    """
    make = WAYS.get(config.completion.kind)
    return make(models, config, pool) if make else None
