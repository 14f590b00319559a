"""The ways of completion by the setting `completion`. A new one is one class and one line here."""

from collections.abc import Callable, Sequence

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion.completers import FoundationCompleter, NamesCompletions
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, GENERATOR_ROLES, FoundationModels

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


def gate_encoder(settings: CompletionSettings) -> str:
    """Return the image-text model that judges completions, empty if nothing else does."""
    judged = settings.kind != "none" and settings.quality_gate
    return settings.gate_encoder if judged else ""


def frozen_models(config: RunConfig, device: str = "cpu") -> FoundationModels:
    """Name the frozen models that a run needs; nothing is loaded.

    Raises:
        ModelError: one of them is not there or not known.
    """
    models = FoundationModels(config.models, device, gate_encoder(config.completion))
    generative = GENERATOR_ROLES.values() if config.completion.kind == "foundation" else ()
    models.require([*ENCODER_ROLES.values(), *generative])
    return models
