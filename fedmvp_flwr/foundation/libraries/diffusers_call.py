"""The arguments of every call of a diffusers pipeline: ours, the folder's, then the settings'."""

import inspect
import json
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig

SETTINGS_FILE = "fedmvp.json"  # {"call": {...}}: the arguments that the model was made for
_FIXED_CALL: dict[str, Any] = {
    "use_resolution_binning": False,  # the folder's own size, not the nearest of a fixed table
    "clean_caption": False,  # needs two more libraries, for web scrapes
}
_LENGTH = "max_sequence_length"


def call_arguments(pipeline: Any, folder: Path, config: RunConfig) -> dict[str, Any]:  # noqa: ANN401 - an untyped library's object
    """Return the keyword arguments of every call.

    Args:
        pipeline: a loaded one.
        folder: where it comes from.
        config: the run's settings.

    Raises:
        ModelError: the folder's settings are malformed, or they or those of the run are something
            that the pipeline does not take.
    """
    known = inspect.signature(pipeline.__call__).parameters
    call = {name: value for name, value in _FIXED_CALL.items() if name in known}
    longest = _longest_prompt(pipeline)
    usual = known[_LENGTH].default if _LENGTH in known else None
    if longest and isinstance(usual, int):
        call[_LENGTH] = min(usual, longest)
    of_folder, of_run = folder_call(folder), _settings_call(config)
    kind = type(pipeline).__name__
    if unknown := sorted(set(of_folder) - set(known)):
        raise ModelError(f"{folder / SETTINGS_FILE}: {kind} takes no {', '.join(unknown)}.")
    for name, (setting, value) in of_run.items():
        if name not in known:
            raise ModelError(
                f"{setting}={value}: {kind} of {folder} takes no {name}. Leave {setting} at its "
                "default, or use another image-generator."
            )
    return call | of_folder | {name: value for name, (_, value) in of_run.items()}


def folder_call(folder: Path) -> dict[str, Any]:
    """Return the arguments that the folder's own settings name, none without such a file.

    Raises:
        ModelError: the file is malformed.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return {}
    try:
        call = json.loads(path.read_text(encoding="utf-8"))["call"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path}: expected {{"call": {{...}}}} in JSON: {error!r}') from error
    if not isinstance(call, dict):
        raise ModelError(f'{path}: expected an object under "call", found {call!r}.')
    return call


def _settings_call(config: RunConfig) -> dict[str, tuple[str, float]]:
    """Arguments that the run sets, each with the name of its setting."""
    call: dict[str, tuple[str, float]] = {}
    if config.models.generator_steps > 0:
        call["num_inference_steps"] = ("generator-steps", config.models.generator_steps)
    if config.models.generator_guidance >= 0:
        call["guidance_scale"] = ("generator-guidance", config.models.generator_guidance)
    if config.models.generator_size > 0:
        call["height"] = call["width"] = ("generator-size", config.models.generator_size)
    return call


def _longest_prompt(pipeline: Any) -> int:  # noqa: ANN401 - an untyped library's object
    """Most tokens that one of the tokenizers reads; 0 where there is none.

    The argument is meant for the text encoder that reads most: T5, whose tokenizer is the second
    one of Flux and the third one of Stable Diffusion 3; CLIP's beside it cuts by itself.
    """
    lengths = [
        int(part.model_max_length)
        for name, part in pipeline.components.items()
        if name.startswith("tokenizer") and hasattr(part, "model_max_length")
    ]
    return max(lengths, default=0)
