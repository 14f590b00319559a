"""Everything that is wrong with a frozen model's folder, found without loading the model."""

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.folders.completeness import damaged_files, missing_files
from fedmvp_flwr.foundation.folders.weight_files import require_safetensors
from fedmvp_flwr.foundation.specs import LoadContext, ModelSpec, check_model

_CHOOSE_FILES = ("transformers", "diffusers")  # these libraries decide which weights they load


def model_problems(spec: ModelSpec, config: RunConfig) -> list[str]:
    """Say what keeps a model from being loaded, or from working with the settings.

    Args:
        spec: of a folder that holds its library's main file and weights.
        config: the run's settings.

    Returns:
        Sentences that name the file or the setting. What a damaged or incomplete folder says of
        itself is not looked at.
    """
    problems = []
    if missing := missing_files(spec):
        problems.append(
            f"{spec.folder} lacks {len(missing)} file(s): {', '.join(missing)}. Fetch or copy the "
            "whole model."
        )
    problems += damaged_files(spec)
    if problems:
        return problems
    context = LoadContext(spec.folder, "cpu", config, {}, spec.architecture, spec.weights)
    try:
        if spec.library in _CHOOSE_FILES:
            require_safetensors(spec.folder)
        check_model(spec, context)
    except ModelError as error:
        return [str(error)]
    return []
