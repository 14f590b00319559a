"""Loads one open_clip model, its preprocessing and its tokenizer, all from one folder.

Which file holds the weights is decided here and not by open_clip, which takes a pickle where it
likes its name better than that of the safetensors file.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from fedmvp_flwr.foundation.libraries.open_clip_folder import (
    architecture_parts,
    own_parts,
    scaling_of,
    weights_file,
)
from fedmvp_flwr.foundation.libraries.transformers_model import require_words
from fedmvp_flwr.foundation.spec import LoadContext, ModelSpec

if TYPE_CHECKING:
    from PIL.Image import Image

_SIMPLE_TOKENIZER_LENGTH = 77
_PACKAGE = "open_clip"
_TOKENIZER = "tokenizer_config.json"


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
        context.shared[name] = _load(spec, context.device)
    clip: Clip = context.shared[name]
    return clip


def _load(spec: ModelSpec, device: str) -> Clip:
    """Build the model of the folder's config or of a named architecture, and fill it.

    open_clip only builds it, and downloads no part of it; what fills it is the one file.
    """
    import open_clip

    source, scaling = f"local-dir:{spec.folder}", {}
    if spec.architecture:
        parts, source = architecture_parts(spec.architecture), spec.architecture
        scaling = scaling_of(spec.folder)
    else:
        parts = own_parts(spec.folder)  # says more clearly than the library what is missing
    weights = weights_file(spec)
    with _unwarned():
        model, _, preprocess = open_clip.create_model_and_transforms(
            source,
            load_weights=False,
            device=device,
            pretrained_image=False,
            pretrained_text=False,
            **scaling,
        )
    open_clip.load_checkpoint(model, str(weights), strict=True)
    return Clip(model.eval().requires_grad_(False), preprocess, _tokenizer(spec, parts["text_cfg"]))


def _tokenizer(spec: ModelSpec, text: Mapping[str, Any]) -> Any:  # noqa: ANN401 - untyped
    """Return the folder's own tokenizer, or open_clip's own where the model takes that.

    Raises:
        ModelError: the files of the tokenizer are not there.
    """
    import open_clip

    length = text.get("context_length", _SIMPLE_TOKENIZER_LENGTH)
    named = text.get("hf_tokenizer_name")
    if spec.architecture and (named or (spec.folder / _TOKENIZER).is_file()):
        tokenizer = open_clip.tokenizer.HFTokenizer(
            str(spec.folder), context_length=length, trust_remote_code=False
        )
    elif spec.architecture:
        return open_clip.tokenizer.SimpleTokenizer(context_length=length)
    else:
        options = {"trust_remote_code": False} if named else {}
        tokenizer = open_clip.get_tokenizer(f"local-dir:{spec.folder}", **options)
    if named or spec.architecture:  # of transformers
        require_words(spec.folder, tokenizer.tokenizer)
    return tokenizer


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
