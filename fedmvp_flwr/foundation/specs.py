"""Reads a model spec, "library:name[:path]", and knows which adapter loads it.

A new library is one adapter file and one line in `LIBRARIES`. The registry names its adapters as
strings, so that reading a spec imports no library.
"""

import difflib
import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.errors import ModelError

Role = Literal["image_encoder", "text_encoder", "captioner", "image_generator"]
ROLES: tuple[Role, ...] = get_args(Role)

_EMBEDDED = "embedded"
_LOCAL = "local"
_NAMES = (_EMBEDDED, _LOCAL)
_EMBEDDED_MODELS: dict[Role, str] = {
    "image_encoder": "encoder",
    "text_encoder": "encoder",
    "captioner": "captioner",
    "image_generator": "generator",
}


@dataclass(frozen=True)
class Library:
    """How one library's models take a role.

    Attributes:
        loader: "module:function" that takes a `LoadContext` and returns the adapter.
        version: rises when the adapter computes something else, so that stored values expire.
        marker: the file that every model folder of this library holds.
        joint_space: the pooled embeddings of one model's images and texts are comparable.
    """

    loader: str
    version: int
    marker: str
    joint_space: bool = False


_OPEN_CLIP = "fedmvp_flwr.foundation.open_clip_encoder"
LIBRARIES: dict[Role, dict[str, Library]] = {
    "image_encoder": {
        "open_clip": Library(f"{_OPEN_CLIP}:load_image_encoder", 1, "open_clip_config.json", True)
    },
    "text_encoder": {
        "open_clip": Library(f"{_OPEN_CLIP}:load_text_encoder", 1, "open_clip_config.json", True)
    },
    "captioner": {
        "transformers": Library(
            "fedmvp_flwr.foundation.transformers_captioner:load_captioner", 1, "config.json"
        )
    },
    "image_generator": {
        "diffusers": Library(
            "fedmvp_flwr.foundation.diffusers_generator:load_generator", 1, "model_index.json"
        )
    },
}


@dataclass(frozen=True)
class ModelSpec:
    """One frozen model: its role, its library and the folder that holds it."""

    role: Role
    library: str
    folder: Path

    @property
    def adapter(self) -> Library:
        """The registry's entry."""
        return LIBRARIES[self.role][self.library]


@dataclass(frozen=True)
class LoadContext:
    """What a loader gets.

    Attributes:
        folder: the model's folder, checked.
        device: where the model computes.
        config: the run's settings (image grid, text length, generator steps).
        shared: parts that several roles of one bundle load only once, by a name of the loader.
    """

    folder: Path
    device: str
    config: RunConfig
    shared: dict[str, Any]


def parse_spec(role: Role, text: str) -> ModelSpec:
    """Read the spec of one role and find the model's folder; nothing is loaded.

    Args:
        role: what the model is for.
        text: "library:embedded" or "library:local:/absolute/folder".

    Raises:
        ModelError: an unknown library or name, or a folder that is not there; says what to do.
    """
    key = role.replace("_", "-")
    library, _, rest = text.partition(":")
    name, _, path = rest.partition(":")
    if library not in LIBRARIES[role]:
        raise ModelError(f"{key}={text!r}: {_unknown('library', library, LIBRARIES[role])}")
    if name not in _NAMES:
        raise ModelError(f"{key}={text!r}: {_unknown('name', name, _NAMES)}")
    if name == _EMBEDDED and path:
        raise ModelError(f"{key}={text!r}: `embedded` takes no path; use '{library}:local:{path}'.")
    folder = _embedded_folder(key, role) if name == _EMBEDDED else _local_folder(key, text, path)
    marker = LIBRARIES[role][library].marker
    if not (folder / marker).is_file():
        raise ModelError(f"{key}={text!r}: {folder} is no {library} model, it holds no {marker}.")
    return ModelSpec(role, library, folder)


def load_model(spec: ModelSpec, context: LoadContext) -> Any:  # noqa: ANN401 - by role
    """Import the adapter of the spec's library and load the model.

    Raises:
        ModelError: the library is not installed, or it cannot load the folder.
    """
    module, _, function = spec.adapter.loader.partition(":")
    try:
        return getattr(importlib.import_module(module), function)(context)
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(
            f"{spec.role.replace('_', '-')}: {spec.library} cannot be imported ({error}). Install "
            "the foundation models' libraries: pip install 'fedmvp-flwr[foundation]'."
        ) from error
    except Exception as error:  # each library has its own zoo of errors
        raise ModelError(
            f"{spec.role.replace('_', '-')}: {spec.library} cannot load {spec.folder}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _embedded_folder(key: str, role: Role) -> Path:
    hint = (
        "Install the package fedmvp_assets (it comes with the repository: make setup), build its "
        "models (python -m fedmvp_assets.build), or name a model of your own: "
        f"{key}='library:local:/folder'."
    )
    try:
        from fedmvp_assets import model_path
    except ImportError as error:
        raise ModelError(f"{key}: the embedded models are not installed. {hint}") from error
    try:
        return Path(model_path(_EMBEDDED_MODELS[role]))
    except FileNotFoundError as error:
        raise ModelError(f"{key}: {error} {hint}") from error


def _local_folder(key: str, text: str, path: str) -> Path:
    folder = Path(path).expanduser()
    if not path or not folder.is_absolute():
        raise ModelError(
            f"{key}={text!r}: expected an absolute folder, 'library:local:/folder'; Flower's "
            "processes do not run in your current directory."
        )
    if not folder.is_dir():
        raise ModelError(f"{key}={text!r}: the folder {folder} does not exist.")
    return folder


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {what} '{given}', expected one of {', '.join(names)}.{hint}"
