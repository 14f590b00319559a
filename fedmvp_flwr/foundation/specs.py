"""Reads a model spec, "library:name[:path]", and knows which adapter loads it.

A new library is one adapter file and one line in `LIBRARIES`. The registry names its adapters as
strings, so that reading a spec imports no library.
"""

import importlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.nearest import did_you_mean
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.folders.hub import hub_folder, is_hub_name
from fedmvp_flwr.foundation.folders.location import embedded_folder, is_path, local_place
from fedmvp_flwr.foundation.folders.sentence_folder import absent_pooling

Role = Literal["image_encoder", "text_encoder", "captioner", "image_generator"]
ROLES: tuple[Role, ...] = get_args(Role)

_EMBEDDED = "embedded"
_LOCAL = "local"
_NAMES = (_EMBEDDED, _LOCAL)
_EMBEDDED_MODELS: dict[Role, dict[str, str]] = {
    "image_encoder": {"open_clip": "encoder"},
    "text_encoder": {"open_clip": "encoder"},
    "captioner": {"transformers": "captioner"},
    "image_generator": {"diffusers": "generator"},
}
# transformers' image-text models whose two sides end in one space, by `model_type`.
JOINT_TYPES = frozenset({"clip", "siglip", "chinese_clip", "altclip", "metaclip_2"})


@dataclass(frozen=True)
class Library:
    """How one library's models take a role.

    Attributes:
        loader: "module:function" that takes a `LoadContext` and returns the adapter.
        version: rises when the adapter computes something else, so that stored values expire.
        marker: the file that every model folder of this library holds.
        joint_space: the pooled embeddings of one model's images and texts are comparable.
        joint_types: the same, for the models whose config names one of these `model_type`s.
        architectures: the spec may name an architecture, "library:ARCHITECTURE:/path".
        one_file: the spec may name one weights file instead of its folder.
        check: "module:function" that takes a `LoadContext` and raises a ModelError for what the
            loader would refuse, as far as that shows without loading; empty: nothing does.
    """

    loader: str
    version: int
    marker: str
    joint_space: bool = False
    joint_types: frozenset[str] = frozenset()
    architectures: bool = False
    one_file: bool = False
    check: str = ""


_ADAPTERS = "fedmvp_flwr.foundation.libraries"
_FOLDERS = "fedmvp_flwr.foundation.folders"


def _open_clip(side: str) -> Library:
    return Library(
        f"{_ADAPTERS}.open_clip_encoder:load_{side}_encoder",
        1,
        "open_clip_config.json",
        joint_space=True,
        architectures=True,
        one_file=True,
        check=f"{_FOLDERS}.open_clip_folder:check_{side}_folder",
    )


def _transformers(side: str) -> Library:
    return Library(
        f"{_ADAPTERS}.transformers_{side}_encoder:load_{side}_encoder",
        1,
        "config.json",
        joint_types=JOINT_TYPES,
        check=f"{_FOLDERS}.transformers_folder:check_{side}_folder",
    )


LIBRARIES: dict[Role, dict[str, Library]] = {
    "image_encoder": {
        "open_clip": _open_clip("image"),
        "timm": Library(
            f"{_ADAPTERS}.timm_encoder:load_image_encoder",
            1,
            "config.json",
            architectures=True,
            one_file=True,
            check=f"{_FOLDERS}.timm_folder:check_folder",
        ),
        "transformers": _transformers("image"),
    },
    "text_encoder": {"open_clip": _open_clip("text"), "transformers": _transformers("text")},
    "captioner": {
        "transformers": Library(
            f"{_ADAPTERS}.transformers_captioner:load_captioner", 1, "config.json"
        )
    },
    "image_generator": {
        "diffusers": Library(
            f"{_ADAPTERS}.diffusers_generator:load_generator",
            1,
            "model_index.json",
            check=f"{_ADAPTERS}.diffusers_generator:check_folder",
        )
    },
}


@dataclass(frozen=True)
class ModelSpec:
    """One frozen model: its role, its library and where it lies.

    Attributes:
        role: what it is for.
        library: which library loads it.
        folder: the folder that holds it.
        architecture: the library's name of it, where the spec names one, else empty.
        weights: name of the weights file, where the spec names one.
    """

    role: Role
    library: str
    folder: Path
    architecture: str = ""
    weights: str | None = None

    @property
    def adapter(self) -> Library:
        """The registry's entry."""
        return LIBRARIES[self.role][self.library]

    @property
    def joint(self) -> bool:
        """Whether its pooled embeddings can be compared with those of its other side."""
        types = self.adapter.joint_types
        return self.adapter.joint_space or bool(types and model_type(self.folder) in types)


@dataclass(frozen=True)
class LoadContext:
    """What a loader gets.

    Attributes:
        folder: the model's folder, checked.
        device: where the model computes.
        config: the run's settings (image grid, text length, generator steps).
        shared: parts that several roles of one bundle load only once, by a name of the loader.
        architecture: the library's name of the model, where the spec names one, else empty.
        weights: name of the weights file, where the spec names one.
    """

    folder: Path
    device: str
    config: RunConfig
    shared: dict[str, Any]
    architecture: str = ""
    weights: str | None = None


def parse_spec(role: Role, text: str, key: str = "") -> ModelSpec:
    """Read the spec of one role and find the model's folder; nothing is loaded.

    Args:
        role: what the model is for.
        text: "library:embedded", "library:/absolute/folder" (or "library:local:/folder"),
            "library:owner/name[@revision]" on the hub; for timm and open_clip also
            "library:ARCHITECTURE:/path", for open_clip "open_clip:ARCHITECTURE:PRETRAINED".
        key: the run-config key, for errors; default: that of the role.

    Raises:
        ModelError: an unknown library or name, or a folder that is not there; says what to do.
    """
    key = key or role.replace("_", "-")
    library, _, rest = text.partition(":")
    if library not in LIBRARIES[role]:
        raise ModelError(f"{key}={text!r}: {_unknown('library', library, LIBRARIES[role])}")
    spec = _locate(role, library, rest, key, text)
    marker = spec.adapter.marker
    if not (spec.folder / marker).is_file():
        raise ModelError(
            f"{key}={text!r}: {spec.folder} is no {library} model, it holds no {marker}."
            + (_TIMM_HINT if library == "timm" else "")
        )
    return spec


def load_model(spec: ModelSpec, context: LoadContext) -> Any:  # noqa: ANN401 - by role
    """Import the adapter of the spec's library and load the model.

    Raises:
        ModelError: the library is not installed, or it cannot load the folder.
    """
    return _call(spec.adapter.loader, spec, context)


def check_model(spec: ModelSpec, context: LoadContext) -> None:
    """Refuse what the loader would refuse, as far as that shows without loading the model.

    Raises:
        ModelError: the library is not installed, or the model does not fit it or the settings.
    """
    if spec.adapter.check:
        _call(spec.adapter.check, spec, context)


def _call(target: str, spec: ModelSpec, context: LoadContext) -> Any:  # noqa: ANN401 - by role
    module, _, function = target.partition(":")
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


_TIMM_HINT = (
    ' Write one: {"architecture": "NAME", "num_classes": N, "model_args": {...}, "pretrained_cfg": '
    '{"input_size": [3, 224, 224], "mean": [...], "std": [...]}} (docs/models.md).'
)


def _locate(role: Role, library: str, rest: str, key: str, text: str) -> ModelSpec:
    """Tell embedded, local, architecture and hub specs apart."""
    name, colon, path = rest.partition(":")
    if name == _EMBEDDED:
        models = _EMBEDDED_MODELS[role]
        if path:
            raise ModelError(
                f"{key}={text!r}: `embedded` takes no path; use '{library}:local:{path}'."
            )
        if library not in models:
            raise ModelError(f"{key}={text!r}: {_unknown('embedded library', library, models)}")
        return ModelSpec(role, library, embedded_folder(key, models[library]))
    adapter = LIBRARIES[role][library]
    if name == _LOCAL or is_path(rest):
        folder, weights = local_place(key, text, path if name == _LOCAL else rest, adapter.one_file)
        return ModelSpec(role, library, folder, weights=weights)
    if adapter.architectures and colon and is_path(path):
        folder, weights = local_place(key, text, path, adapter.one_file)
        return ModelSpec(role, library, folder, name, weights)
    if library == "open_clip" and colon and path:
        rest = _pretrained_name(key, text, name, path)
    if not is_hub_name(rest):
        unknown = _unknown("name", name, _NAMES)
        raise ModelError(f"{key}={text!r}: {unknown} Or a hub name, {library}:owner/name.")
    folder = hub_folder(
        key,
        rest,
        library,
        adapter.marker,
        lambda cached: absent_parts(ModelSpec(role, library, cached)),
    )
    return ModelSpec(role, library, folder)


def absent_parts(spec: ModelSpec) -> list[str]:
    """Name the files that a model's folder itself lists, beside its weights, and does not hold.

    Raises:
        ModelError: the list is malformed.
    """
    sentences = spec.library == "transformers" and spec.role == "text_encoder"
    return absent_pooling(spec.folder) if sentences and not spec.joint else []


def _pretrained_name(key: str, text: str, architecture: str, tag: str) -> str:
    """Return the hub name of an open_clip architecture's pretrained tag."""
    try:
        import open_clip
        from open_clip.pretrained import get_pretrained_cfg
    except ImportError as error:
        raise ModelError(
            f"{key}={text!r}: open_clip cannot be imported ({error}). Install it: "
            "pip install 'fedmvp-flwr[foundation]'."
        ) from error
    entry = get_pretrained_cfg(architecture, tag)
    if not entry:
        known = [t for a, t in open_clip.list_pretrained() if a == architecture]
        what = _unknown("pretrained tag", tag, known) if known else f"no model '{architecture}'."
        raise ModelError(f"{key}={text!r}: open_clip knows {what}")
    repository = str(entry.get("hf_hub", "")).rstrip("/")
    if not is_hub_name(repository):
        raise ModelError(
            f"{key}={text!r}: these weights are not on the hub as safetensors. Fetch and convert "
            f"them, then use '{key}=open_clip:{architecture}:/folder'."
        )
    return repository


def model_type(folder: Path) -> str:
    """Return the `model_type` that a transformers folder's config names, empty if none."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config.get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""  # the loader will say what is wrong with it


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    names = sorted(known)
    return (
        f"unknown {what} '{given}', expected one of {', '.join(names)}{did_you_mean(given, names)}."
    )
