"""Loads one open_clip model, its preprocessing and its tokenizer, all from one folder.

Which file holds the weights is decided here and not by open_clip, which takes a pickle where it
likes its name better than that of the safetensors file.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fedmvp_flwr.foundation.libraries.open_clip_folder import (
    architecture_parts,
    has_tokenizer,
    own_parts,
    preprocessing_of,
    weights_file,
)
from fedmvp_flwr.foundation.libraries.transformers_model import require_words
from fedmvp_flwr.foundation.spec import LoadContext

if TYPE_CHECKING:
    from PIL.Image import Image

_SIMPLE_TOKENIZER_LENGTH = 77
_PACKAGE = "open_clip"


@dataclass(frozen=True)
class Clip:
    """A loaded model.

    Attributes:
        model: open_clip's own, frozen.
        preprocess: makes an RGB image the model's input.
        tokenizer: makes texts token ids (N, context length).
    """

    model: Any
    preprocess: Callable[["Image"], Tensor]
    tokenizer: Any


def load_clip(context: LoadContext) -> Clip:
    """Load weights, preprocessing and tokenizer together; both sides of a model share them.

    Raises:
        ModelError: the folder lacks something, or it is not clear which file holds the weights.
    """
    spec = context.spec
    name = f"open_clip:{spec.architecture}:{spec.folder}:{spec.weights}"
    if name not in context.shared:
        load = _load_architecture if spec.architecture else _load_folder
        model, preprocess, tokenizer = load(context)
        if hasattr(tokenizer, "tokenizer"):  # that of transformers, not open_clip's own
            require_words(spec.folder, tokenizer.tokenizer)
        context.shared[name] = Clip(model.eval().requires_grad_(False), preprocess, tokenizer)
    clip: Clip = context.shared[name]
    return clip


def _load_folder(context: LoadContext) -> tuple[Any, Any, Any]:
    """Load the model that the folder's config describes.

    open_clip only builds it, and downloads no part of it; what fills it is the one file.
    """
    import open_clip

    parts = own_parts(context.spec.folder)  # says more clearly than the library what is missing
    weights = weights_file(context.spec)
    folder = f"local-dir:{context.spec.folder}"
    with _unwarned():
        model, _, preprocess = open_clip.create_model_and_transforms(
            folder,
            load_weights=False,
            device=context.device,
            pretrained_image=False,
            pretrained_text=False,
        )
    open_clip.load_checkpoint(model, str(weights), strict=True)
    options = {"trust_remote_code": False} if parts["text_cfg"].get("hf_tokenizer_name") else {}
    return model, preprocess, open_clip.get_tokenizer(folder, **options)


def _load_architecture(context: LoadContext) -> tuple[Any, Any, Any]:
    """Load local weights of an architecture that open_clip knows by name.

    The preprocessing is read from the folder, because open_clip would silently take a default
    one that the weights may not have been trained with.
    """
    import open_clip

    folder, architecture = context.spec.folder, context.spec.architecture
    preprocessing = preprocessing_of(folder)
    parts = architecture_parts(architecture)
    length = parts["text_cfg"].get("context_length", _SIMPLE_TOKENIZER_LENGTH)
    if has_tokenizer(folder, architecture, parts):
        tokenizer = open_clip.tokenizer.HFTokenizer(
            str(folder), context_length=length, trust_remote_code=False
        )
    else:
        tokenizer = open_clip.tokenizer.SimpleTokenizer(context_length=length)
    model, _, preprocess = open_clip.create_model_and_transforms(
        architecture,
        pretrained=str(weights_file(context.spec)),
        device=context.device,
        image_mean=tuple(preprocessing["mean"]),
        image_std=tuple(preprocessing["std"]),
        image_interpolation=preprocessing.get("interpolation"),
        image_resize_mode=preprocessing.get("resize_mode"),
    )
    return model, preprocess, tokenizer


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep open_clip from warning that it loads no weights; it logs to the root logger."""
    root = logging.getLogger()
    root.addFilter(_of_others)
    try:
        yield
    finally:
        root.removeFilter(_of_others)


def _of_others(record: logging.LogRecord) -> bool:
    return Path(record.pathname).parent.name != _PACKAGE
