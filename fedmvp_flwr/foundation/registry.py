"""Reads a model spec, "library:where[?options]", and knows which adapter loads it.

A new library is one adapter file and one entry of `LIBRARIES`; nothing else compares its name.
The entries name their adapters as strings, so that reading a spec imports no library.
"""

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.foundation.folders.hub import hub_folder, is_hub_name
from fedmvp_flwr.foundation.folders.location import embedded_folder, is_path, local_folder
from fedmvp_flwr.foundation.spec import Library, LoadContext, ModelOptions, ModelSpec, Role

_ADAPTERS = "fedmvp_flwr.foundation.libraries"
_SHOWN = 600  # characters of what a library says
# transformers' image-text models whose two sides end in one space.
_JOINT_TYPES = frozenset({"clip", "siglip", "chinese_clip", "altclip", "metaclip_2"})


def _open_clip(encoder: str) -> Library:
    return Library(
        f"{_ADAPTERS}.open_clip_encoder:{encoder}",
        1,
        "open_clip_config.json",
        embedded="encoder",
        joint_space=True,
        architectures=True,
        one_file=True,
        hub_name=f"{_ADAPTERS}.open_clip_folder:hub_name",
    )


def _transformers(encoder: str) -> Library:
    return Library(f"{_ADAPTERS}.{encoder}", 1, "config.json", joint_space=_JOINT_TYPES)


LIBRARIES: dict[Role, dict[str, Library]] = {
    "image_encoder": {
        "open_clip": _open_clip("OpenClipImageEncoder"),
        "timm": Library(
            f"{_ADAPTERS}.timm_encoder:TimmImageEncoder",
            1,
            "config.json",
            architectures=True,
            one_file=True,
        ),
        "transformers": _transformers("transformers_image_encoder:TransformersImageEncoder"),
    },
    "text_encoder": {
        "open_clip": _open_clip("OpenClipTextEncoder"),
        "transformers": _transformers("transformers_text_encoder:TransformersTextEncoder"),
    },
    "captioner": {
        "transformers": Library(
            f"{_ADAPTERS}.transformers_captioner:load_captioner",
            1,
            "config.json",
            options=("dtype", "batch", "max-tokens"),
            embedded="captioner",
        )
    },
    "image_generator": {
        "diffusers": Library(
            f"{_ADAPTERS}.diffusers_generator:load_generator",
            1,
            "model_index.json",
            options=("steps", "guidance", "size", "dtype", "batch", "offload"),
            embedded="generator",
            # A pipeline's parts lie in folders of their own; files beside them are second copies.
            hub_files=(
                "model_index.json",
                "fedmvp.json",
                *(f"*/*.{kind}" for kind in ("json", "txt", "model", "safetensors")),
            ),
        )
    },
}


def parse_spec(role: Role, text: str, key: str = "") -> ModelSpec:
    """Read the spec of one role and find the model's folder; nothing is loaded.

    Args:
        role: what the model is for.
        text: "library:embedded", "library:/absolute/folder" (or "library:local:/folder"),
            "library:owner/name[@revision]" on the hub; for some libraries also
            "library:ARCHITECTURE:/path" or "library:ARCHITECTURE:TAG". Then perhaps
            "?option=value&option=value"; a path may therefore hold no "?".
        key: the run-config key, for errors; default: that of the role.

    Raises:
        ModelError: an unknown library, name or option, or a folder that is not there; says what
            to do.
    """
    key = key or role.replace("_", "-")
    place, _, options = text.partition("?")
    name, _, where = place.partition(":")
    try:
        if name not in LIBRARIES[role]:
            raise ModelError(_unknown("library", name, LIBRARIES[role]))
        library = LIBRARIES[role][name]
        chosen = _options(options, name, library)
        folder, architecture, weights = _find(role, name, where, key)
    except ModelError as error:
        raise ModelError(f"{key}={text!r}: {error}") from error
    except ImportError as error:  # of the hub's library, or of one that knows names there
        raise ModelError(f"{key}={text!r}: {_not_installed(name, error)}") from error
    if not (folder / library.marker).is_file():
        raise ModelError(
            f"{key}={text!r}: {folder} is no {name} model, it holds no {library.marker} "
            "(docs/models.md says what belongs there)."
        )
    return ModelSpec(role, key, text, name, library, folder, architecture, weights, chosen)


def load_model(context: LoadContext) -> Any:  # noqa: ANN401 - by role
    """Import the adapter of the spec's library and load the model.

    Raises:
        ModelError: the library is not installed, or it cannot load the folder.
    """
    spec = context.spec
    try:
        return _function(spec.library.loader)(context)
    except ModelError as error:
        raise ModelError(f"{spec.key}={spec.text!r}: {error}") from error
    except ImportError as error:
        raise ModelError(f"{spec.key}: {_not_installed(spec.library_name, error)}") from error
    except Exception as error:  # each library has its own zoo of errors
        said = f"{type(error).__name__}: {error}"[:_SHOWN]  # some list every weight
        raise ModelError(
            f"{spec.key}: {spec.library_name} cannot load {spec.folder}: {said}"
        ) from error


def _function(target: str) -> Any:  # noqa: ANN401 - of any adapter
    module, _, function = target.partition(":")
    return getattr(importlib.import_module(module), function)


def _options(text: str, name: str, library: Library) -> ModelOptions:
    given = dict(parse_qsl(text, keep_blank_values=True))
    if unknown := [option for option in given if option not in library.options]:
        if not library.options:
            raise ModelError(f"{name} takes no options here, found '?{text}'.")
        raise ModelError(_unknown("option", unknown[0], library.options))
    try:
        return ModelOptions.model_validate(given)
    except ValidationError as error:
        wrong = (f"{e['loc'][0]}={e['input']!r}: {e['msg'].lower()}" for e in error.errors())
        raise ModelError(f"{'; '.join(wrong)}.") from error


def _find(role: Role, name: str, where: str, key: str) -> tuple[Path, str, str | None]:
    """Return folder, architecture and weights file of embedded, local and hub specs."""
    library = LIBRARIES[role][name]
    first, colon, path = where.partition(":")
    if first == "embedded":
        if path:
            raise ModelError(f"`embedded` takes no path; use '{name}:local:{path}'.")
        if not library.embedded:
            known = [other for other, entry in LIBRARIES[role].items() if entry.embedded]
            raise ModelError(_unknown("embedded library", name, known))
        return embedded_folder(key, library.embedded), "", None
    if first == "local" or is_path(where):
        folder, weights = local_folder(name, path if first == "local" else where, library.one_file)
        return folder, "", weights
    if library.architectures and colon and is_path(path):
        folder, weights = local_folder(name, path, library.one_file)
        return folder, first, weights
    if library.hub_name and colon and path:
        where = _function(library.hub_name)(first, path)
    if not is_hub_name(where):
        unknown = _unknown("name", first, ("embedded", "local"))
        raise ModelError(f"{unknown} Or a hub name, {name}:owner/name.")
    return hub_folder(where, f"{key}='{name}:", library.marker, library.hub_files), "", None


def _not_installed(name: str, error: ImportError) -> str:
    return (
        f"{name} cannot be imported ({error}). Install the foundation models' libraries: "
        "pip install 'fedmvp-flwr[foundation]'."
    )


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = did_you_mean(given, names)
    return f"unknown {what} '{given}', expected one of {', '.join(names)}{near}."
