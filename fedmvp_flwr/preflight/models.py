"""The preflight's look at the frozen models: which there are, and which are missing."""

from functools import partial

from fedmvp_flwr.completion.prompts import parse_questions, template_named
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.config.completion import CompletionSettings
from fedmvp_flwr.foundation.bundle import ENCODER_ROLES, GENERATOR_ROLES, FoundationModels
from fedmvp_flwr.foundation.fingerprint import model_bytes
from fedmvp_flwr.foundation.folders.hub import revision_of
from fedmvp_flwr.foundation.spec import Role
from fedmvp_flwr.preflight.findings import PreflightReport, attempt

_MEGABYTE = 1e6
_SHOWN = 12  # characters of a fingerprint


def add_models(report: PreflightReport, config: RunConfig, models: FoundationModels) -> None:
    """Find every model that the run needs; every one that is missing is a problem of its own.

    Args:
        report: gets rows and problems.
        config: says which of the models are needed.
        models: the frozen models; none is loaded.
    """
    roles = list(ENCODER_ROLES.values())
    if config.completion.kind == "foundation":
        roles += list(GENERATOR_ROLES.values())
    elif config.generates_probe:
        roles.append("image_generator")
    for role in roles:
        attempt(report, role.replace("_", "-"), partial(_add_model, report, models, role))
    if models.gate is not models:
        for role in ENCODER_ROLES.values():
            attempt(report, "gate-encoder", partial(_add_model, report, models.gate, role))
    if config.completion.kind == "foundation":
        attempt(report, "prompt-template", partial(_check_prompts, config.completion))


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


def _check_prompts(completion: CompletionSettings) -> None:
    if template_named(completion.prompt_template).asks:
        parse_questions(completion.caption_questions)
