"""Text-to-image generator from one diffusers pipeline folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import require_safetensors, tensor_names
from fedmvp_flwr.foundation.libraries.diffusers_call import CALL_FILE, call_arguments
from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries
from fedmvp_flwr.foundation.libraries.transformers_model import DTYPES, require_whole
from fedmvp_flwr.foundation.spec import LoadContext

if TYPE_CHECKING:
    from PIL.Image import Image

_SMALLEST_BATCH = 2


class DiffusersGenerator:
    """One generator of noise per image, so that image i is the same alone or in any batch."""

    def __init__(self, pipeline: Any, call: dict[str, Any]) -> None:  # noqa: ANN401 - an untyped library's object
        """Take a loaded pipeline and the keyword arguments of every call."""
        self._pipeline, self._call = pipeline, call

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list["Image"]:
        """Return one RGB image per prompt; image i depends on prompt i and seed i alone.

        Raises:
            ModelError: the pipeline refuses the size or another setting.
        """
        if not prompts:
            return []
        # A single row takes another matrix kernel, with other rounding, than one of several.
        spare = max(0, _SMALLEST_BATCH - len(prompts))
        filled = [*prompts, *[prompts[-1]] * spare]
        noise = [
            torch.Generator().manual_seed(seed)  # CPU: same on any device
            for seed in [*seeds, *[seeds[-1]] * spare]
        ]
        try:
            with torch.inference_mode():
                output = self._pipeline(
                    prompt=filled, generator=noise, output_type="pil", **self._call
                )
        except (IndexError, ValueError) as error:  # its check; PixArt does not check a single step
            raise ModelError(
                f"image-generator: {type(self._pipeline).__name__} does not draw with "
                f"{self._call}: {error} Change the options size, steps or guidance, or the "
                f"folder's {CALL_FILE}."
            ) from error
        return [image.convert("RGB") for image in output.images[: len(prompts)]]


def load_generator(context: LoadContext) -> DiffusersGenerator:
    """Load the pipeline from the folder; nothing is fetched and no code of it is run.

    Raises:
        ModelError: the folder's `fedmvp.json` or an option names an argument that the pipeline
            does not take, a part lacks weights or names files that are no safetensors, or the
            parts cannot be offloaded as the options ask.
    """
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import is_accelerate_available

    spec = context.spec
    require_safetensors(spec.folder)
    with quiet_libraries(diffusers=True):
        pipeline = AutoPipelineForText2Image.from_pretrained(
            spec.folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=is_accelerate_available(),  # it would warn about its own default
            dtype=DTYPES[spec.options.dtype],
        )
        _require_whole_parts(pipeline, spec.folder)
    pipeline = _place(pipeline, spec.options.offload, context.device)
    pipeline.set_progress_bar_config(disable=True)
    return DiffusersGenerator(pipeline, call_arguments(pipeline, spec.folder, spec.options))


def _place(pipeline: Any, offload: str, device: str) -> Any:  # noqa: ANN401 - an untyped library's object
    """Move the pipeline to its device, or let accelerate move its parts there when they work.

    Raises:
        ModelError: offloading without a GPU or without accelerate.
    """
    from diffusers.utils import is_accelerate_available

    if offload == "none":
        return pipeline.to(device)
    if device == "cpu" or not is_accelerate_available():
        lack = "a GPU (device)" if device == "cpu" else "the package accelerate"
        raise ModelError(f"offload={offload} needs {lack}. Leave it out.")
    enable = {
        "model": pipeline.enable_model_cpu_offload,
        "sequential": pipeline.enable_sequential_cpu_offload,
    }
    enable[offload](device=device)
    return pipeline


def _require_whole_parts(pipeline: Any, folder: Path) -> None:  # noqa: ANN401 - an untyped library's object
    """Refuse a pipeline of which a part lacks weights: nobody tells, and they would be random.

    Where the names in the files are not those of the part, it is loaded once more, alone: only its
    library knows by which other names it finds the weights of older checkpoints.
    """
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module) and not _names(part) <= tensor_names(folder / name):
            whole: Any = type(part)
            _, info = whole.from_pretrained(
                folder / name,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                dtype=part.dtype,
            )
            require_whole(folder / name, part, info["missing_keys"])


def _names(part: torch.nn.Module) -> set[str]:
    """The names of all weights that are not another one as well."""
    tied = getattr(part, "all_tied_weights_keys", None) or {}
    return {name for name in part.state_dict() if name not in tied}
