"""The arguments of every call of a diffusers pipeline: ours, the folder's, then the spec's."""

import inspect
import json
from pathlib import Path
from typing import Any

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.spec import ModelOptions

CALL_FILE = "fedmvp.json"  # {"call": {...}}: the arguments that the model was made for
_FIXED_CALL: dict[str, Any] = {
    "use_resolution_binning": False,  # the folder's own size, not the nearest of a fixed table
    "clean_caption": False,  # needs two more libraries, for web scrapes
}
_LENGTH = "max_sequence_length"
_NAMES = {  # of the arguments that an option of the spec sets
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale",),
    "size": ("height", "width"),
}


def call_arguments(pipeline: Any, folder: Path, options: ModelOptions) -> dict[str, Any]:  # noqa: ANN401 - an untyped library's object
    """Return the keyword arguments of every call of a pipeline that was loaded from a folder.

    Raises:
        ModelError: the folder's settings are malformed, or they or an option are something that
            the pipeline does not take.
    """
    known = inspect.signature(pipeline.__call__).parameters
    call = {name: value for name, value in _FIXED_CALL.items() if name in known}
    longest = _longest_prompt(pipeline)
    usual = known[_LENGTH].default if _LENGTH in known else None
    if longest and isinstance(usual, int):
        call[_LENGTH] = min(usual, longest)
    kind, of_folder = type(pipeline).__name__, _call_of(folder)
    if unknown := sorted(set(of_folder) - set(known)):
        raise ModelError(f"{folder / CALL_FILE}: {kind} takes no {', '.join(unknown)}.")
    call |= of_folder
    for option, names in _NAMES.items():
        if (value := getattr(options, option)) is None:
            continue
        if names[0] not in known:
            raise ModelError(
                f"{option}={value}: {kind} of {folder} takes no {names[0]}. Leave {option} out, or "
                "use another model."
            )
        call |= dict.fromkeys(names, value)
    return call


def _call_of(folder: Path) -> dict[str, Any]:
    path = folder / CALL_FILE
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))["call"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f'{path}: expected {{"call": {{...}}}} in JSON: {error!r}') from error


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
