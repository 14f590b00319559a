"""Loads a transformers encoder so that nothing is fetched, run or left at random."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.weight_files import require_safetensors
from fedmvp_flwr.foundation.libraries.quiet_loading import quiet_libraries
from fedmvp_flwr.foundation.spec import LoadContext

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# Heads that our features do not use; a checkpoint may lack them.
_UNUSED = ("pooler.", "classifier.", "logit_scale", "logit_bias", "embeddings.position_ids")
_SHOWN_KEYS = 3


def load_auto_model(context: LoadContext) -> Any:  # noqa: ANN401 - an untyped library's object
    """Load the model of a folder through AutoModel, once for all roles that share the folder.

    Raises:
        ModelError: see `load_whole`.
    """
    spec = context.spec
    name = f"transformers:{spec.folder}"
    if name not in context.shared:
        from transformers import AutoModel

        model = load_whole(AutoModel, spec.folder, unused=() if spec.joint else _UNUSED)
        context.shared[name] = model.to(context.device)
    return context.shared[name]


def load_whole(
    auto_class: Any,  # noqa: ANN401 - an untyped library's object
    folder: Path,
    dtype: str = "fp32",
    unused: Sequence[str] = (),
) -> Any:  # noqa: ANN401
    """Load a frozen model of which nothing is missing, from safetensors alone.

    Args:
        auto_class: one of transformers' classes that find the model's own.
        folder: of the model.
        dtype: a key of `DTYPES`.
        unused: parts of the names of weights that may be missing.

    Raises:
        ModelError: the folder lacks weights that are needed; they would be random. Or it names
            files of weights that are no safetensors.
    """
    require_safetensors(folder)
    with quiet_libraries():
        model, info = auto_class.from_pretrained(
            folder,
            use_safetensors=True,
            output_loading_info=True,
            dtype=DTYPES[dtype],
            **LOCAL_ONLY,
        )
    missing = [key for key in info["missing_keys"] if not any(part in key for part in unused)]
    require_whole(folder, model, missing)
    return model.eval().requires_grad_(False)


def require_whole(folder: Path, model: Any, missing: Iterable[str]) -> None:  # noqa: ANN401 - an untyped library's object
    """Refuse a checkpoint that lacks weights, which its library fills with random numbers.

    Raises:
        ModelError: there are names of missing weights; tells the first ones.
    """
    names = sorted(missing)
    if names:
        shown = ", ".join(names[:_SHOWN_KEYS]) + (", ..." if len(names) > _SHOWN_KEYS else "")
        raise ModelError(
            f"{folder} lacks {len(names)} weights of {type(model).__name__} ({shown}): they would "
            "be random. Use a complete checkpoint."
        )


def require_words(folder: Path, tokenizer: Any) -> None:  # noqa: ANN401 - untyped
    """Refuse a tokenizer that knows no word: the library makes one where its files are not there.

    Raises:
        ModelError: it has added tokens alone.
    """
    if len(tokenizer) <= len(tokenizer.added_tokens_decoder):
        raise ModelError(
            f"{folder} lacks the vocabulary of its tokenizer ({type(tokenizer).__name__}). Put the "
            "files of the tokenizer there."
        )


def without_special_tokens(prompt: str, tokenizer: Any) -> str:  # noqa: ANN401 - untyped
    """Take out what the tokenizer would read as a token of its own, such as "<image>" or "</s>".

    A prompt may hold a class name, and a class name may hold anything.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    special = {str(token) for token in added if token.special} | set(tokenizer.all_special_tokens)
    for token in sorted(special, key=len, reverse=True):
        prompt = prompt.replace(token, " ")
    return prompt
