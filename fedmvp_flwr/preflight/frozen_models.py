"""The preflight's look at the frozen models: which there are, and which are missing."""

from functools import partial

from fedmvp_flwr.completion.registry import completer_class
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, FoundationModels
from fedmvp_flwr.foundation.fingerprint import model_bytes
from fedmvp_flwr.foundation.folders.hub import revision_of
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.preflight.findings import PreflightReport, attempt

_MEGABYTE = 1e6
_SHOWN = 12  # characters of a fingerprint


def add_models(
    report: PreflightReport,
    models: FoundationModels,
    completion: CompletionSettings,
    draws_probe: bool,
) -> None:
    """Find every model that the run needs; every one that is missing is a problem of its own.

    Args:
        report: gets rows and problems.
        models: the frozen models; none is loaded.
        completion: the way of completion and its settings.
        draws_probe: whether images are generated for the probe.
    """
    way = completer_class(completion)
    roles = [*ENCODER_ROLES.values(), *way.roles]
    if draws_probe and "image_generator" not in roles:
        roles.append("image_generator")
    for role in roles:
        attempt(report, role.replace("_", "-"), partial(_add_model, report, models, role))
    if models.gate is not models:
        for role in ENCODER_ROLES.values():
            attempt(report, "gate-encoder", partial(_add_model, report, models.gate, role))
    attempt(report, "prompt-template", partial(way.check, completion))


def _add_model(report: PreflightReport, models: FoundationModels, role: Role) -> None:
    """Describe one model; it is not loaded.

    Raises:
        FedMVPError: it is not there.
    """
    spec = models.spec(role)
    row: dict[str, str | float] = {
        "setting": spec.key,
        "model": spec.text,
        "MB": round(model_bytes(spec) / _MEGABYTE, 1),
        "fingerprint": models.fingerprint(role)[:_SHOWN],
        "revision": revision_of(spec.folder) or "",
    }
    if row not in report.models:
        report.models.append(row)
