"""The ways of completion by the setting `completion`. A new one is one class and one line here."""

from fedmvp_flwr.base.errors import ConfigError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.completion.completer import Completer, NoCompleter
from fedmvp_flwr.completion.foundation import FoundationCompleter
from fedmvp_flwr.completion.retrieval import RetrievalCompleter
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels

COMPLETERS: dict[str, type[Completer]] = {
    "foundation": FoundationCompleter,
    "retrieval": RetrievalCompleter,
    "none": NoCompleter,
}


def completer_class(settings: CompletionSettings) -> type[Completer]:
    """Return the way of completion that the setting `completion` names.

    Raises:
        ConfigError: there is none of this name; names the nearest.
    """
    if settings.kind not in COMPLETERS:
        raise ConfigError(
            f"completion='{settings.kind}': expected one of {', '.join(COMPLETERS)}"
            f"{did_you_mean(settings.kind, COMPLETERS)}"
        )
    return COMPLETERS[settings.kind]


def gate_encoder(settings: CompletionSettings) -> str:
    """Return the image-text model that judges completions, empty if nothing else does."""
    judged = completer_class(settings).completes and settings.quality_gate
    return settings.gate_encoder if judged else ""


def frozen_models(config: RunConfig, device: str = "cpu") -> FoundationModels:
    """Name the frozen models that a run needs; nothing is loaded.

    Raises:
        ConfigError: no such way of completion.
        ModelError: one of the models is not there or not known.
    """
    models = FoundationModels(config.models, device, gate_encoder(config.completion))
    models.require([*ENCODER_ROLES.values(), *completer_class(config.completion).roles])
    return models
