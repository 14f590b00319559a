"""Text-to-image generator from one diffusers pipeline folder."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import require_safetensors
from fedmvp_flwr.foundation.libraries.diffusers_call import (
    SETTINGS_FILE,
    call_arguments,
    folder_call,
)
from fedmvp_flwr.foundation.libraries.diffusers_parts import require_whole_parts
from fedmvp_flwr.foundation.libraries.dtypes import DTYPES
from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries
from fedmvp_flwr.foundation.specs import LoadContext

if TYPE_CHECKING:
    from PIL.Image import Image

_INDEX = "model_index.json"
_SMALLEST_BATCH = 2
_DENOISERS = ("unet", "transformer")
_LARGEST_SCALE = 8  # pixels per latent of the usual autoencoders
_USUAL_SIDE = 1024
# What height and width have to be multiples of, where the pipeline refuses anything else before it
# draws; others need a look at their parts (fedmvp preflight --time) or round the size off.
_SIDE_STEPS = {
    "HunyuanDiTPipeline": 8,
    "LatentConsistencyModelPipeline": 8,
    "PixArtAlphaPipeline": 8,
    "PixArtSigmaPipeline": 8,
    "SanaPipeline": 32,
    "StableDiffusionPipeline": 8,
    "StableDiffusionXLPipeline": 8,
}


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
        except ValueError as error:  # its check of the arguments
            raise ModelError(
                f"image-generator: {type(self._pipeline).__name__} does not draw with "
                f"{self._call}: {error} Change generator-size, generator-steps or "
                f"generator-guidance, or the folder's {SETTINGS_FILE}."
            ) from error
        return [image.convert("RGB") for image in output.images[: len(prompts)]]


def load_generator(context: LoadContext) -> DiffusersGenerator:
    """Load the pipeline from the folder; nothing is fetched and no code of it is run.

    Raises:
        ModelError: the folder's `fedmvp.json` or a setting names an argument that the pipeline
            does not take, a part lacks weights or names files that are no safetensors, or the
            parts cannot be offloaded as the settings ask.
    """
    from diffusers import AutoPipelineForText2Image
    from diffusers.utils import is_accelerate_available

    pipeline_class: Any = AutoPipelineForText2Image
    require_safetensors(context.folder)
    with quiet_libraries(diffusers=True):
        pipeline = pipeline_class.from_pretrained(
            context.folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=is_accelerate_available(),  # it would warn about its own default
            dtype=DTYPES[context.config.models.generator_dtype],
        )
        require_whole_parts(pipeline, context.folder)
    pipeline = _place(pipeline, context)
    pipeline.set_progress_bar_config(disable=True)
    call = call_arguments(pipeline, context.folder, context.config)
    return DiffusersGenerator(pipeline, call)


def check_folder(context: LoadContext) -> None:
    """Refuse what the folder's own settings or the size of the images make impossible.

    Raises:
        ModelError: the folder's `fedmvp.json` is malformed, or the pipeline draws no images of
            this `generator-size`.
    """
    folder_call(context.folder)
    try:
        name = json.loads((context.folder / _INDEX).read_bytes())["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{context.folder / _INDEX}: expected the pipeline's '_class_name': {error!r}"
        ) from error
    step, side = _SIDE_STEPS.get(str(name), 1), context.config.models.generator_size
    if side % step:
        below = max(step, side - side % step)
        raise ModelError(
            f"generator-size={side}: {name} draws only sides that are multiples of {step}; choose "
            f"{below} or {side - side % step + step}, or 0 for the model's own size."
        )


def largest_side(folder: Path) -> int:
    """Pixels that an image of this pipeline has at most, by what its folder says; none is loaded.

    Args:
        folder: of the pipeline.

    Raises:
        ModelError: the folder's `fedmvp.json` is malformed.
    """
    call = folder_call(folder)
    named = [int(call[name]) for name in ("height", "width") if isinstance(call.get(name), int)]
    if named:
        return max(named)
    sizes = []
    for part in _DENOISERS:
        with suppress(OSError, ValueError, KeyError, TypeError):
            size = json.loads((folder / part / "config.json").read_bytes())["sample_size"]
            sizes.append(_LARGEST_SCALE * int(max(size) if isinstance(size, list) else size))
    return max(sizes, default=_USUAL_SIDE)


def _place(pipeline: Any, context: LoadContext) -> Any:  # noqa: ANN401 - an untyped library's object
    """Move the pipeline to its device, or let accelerate move its parts there when they work.

    Raises:
        ModelError: offloading without a GPU or without accelerate.
    """
    from diffusers.utils import is_accelerate_available

    way = context.config.models.generator_offload
    if way == "none":
        return pipeline.to(context.device)
    if context.device == "cpu" or not is_accelerate_available():
        lack = "a GPU (device)" if context.device == "cpu" else "the package accelerate"
        raise ModelError(
            f"generator-offload='{way}' needs {lack}. Use generator-offload='none', or install it."
        )
    offload = {
        "model": pipeline.enable_model_cpu_offload,
        "sequential": pipeline.enable_sequential_cpu_offload,
    }
    offload[way](device=context.device)
    return pipeline
