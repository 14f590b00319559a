"""What a model's folder holds and lacks, found without loading the model or its library."""

from contextlib import suppress
from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.fingerprint import model_files
from fedmvp_flwr.foundation.folders.json_files import json_object
from fedmvp_flwr.foundation.folders.listing import files_below
from fedmvp_flwr.foundation.folders.weight_files import INDEX, WEIGHTS, damage, shard_names
from fedmvp_flwr.foundation.specs import ModelSpec, absent_parts

_IMAGE_PROCESSOR = ("preprocessor_config.json", "processor_config.json")
VOCABULARY = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model", "*.bpe")
_NEEDED_BY_ROLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "image_encoder": (_IMAGE_PROCESSOR,),
    "text_encoder": (VOCABULARY,),
    "captioner": (_IMAGE_PROCESSOR, VOCABULARY),
}
_CONFIG = "config.json"
_WIDTH_NAMES = frozenset({"width", "hidden_size", "embed_dim", "projection_dim", "d_model"})
_WIDE = 1280  # ViT-H, MobileNet's last map
# Parts of a diffusers pipeline that are no networks, by the beginning of their names.
_PARTS: dict[str, tuple[str, ...]] = {
    "scheduler": ("scheduler_config.json",),
    "tokenizer": VOCABULARY,
    "feature_extractor": _IMAGE_PROCESSOR,
    "image_processor": _IMAGE_PROCESSOR,
}


def missing_files(spec: ModelSpec) -> list[str]:
    """Name the files that the model cannot do without and that are not there.

    Args:
        spec: of a folder that holds its library's main file.

    Returns:
        Relative names, sorted; alternatives joined by "or".
    """
    missing = _missing_shards(spec.folder)
    if spec.library != "diffusers":
        missing += none_of(spec.folder, "", (WEIGHTS,))
    if spec.library == "transformers":
        for choices in _NEEDED_BY_ROLE[spec.role]:
            missing += none_of(spec.folder, "", choices)
        with suppress(ModelError):  # a malformed list of modules: the check names it
            missing += absent_parts(spec)
    elif spec.library == "diffusers":
        missing += _missing_parts(spec.folder)
    return sorted(set(missing))


def damaged_files(spec: ModelSpec) -> list[str]:
    """Name the files that are there but cannot be what they should: weights, index, main file.

    Args:
        spec: of a folder that holds its library's main file and weights.

    Returns:
        One sentence per file.
    """
    problems = []
    for path in model_files(spec):
        if path.match(WEIGHTS) and (what := damage(path)):
            problems.append(f"{path} {what}. Fetch or copy this file again.")
        elif path.match(INDEX):
            try:
                shard_names(path)
            except ModelError as error:
                problems.append(str(error))
    main = spec.folder / spec.adapter.marker
    if not json_object(main):
        problems.append(f"{main} is no JSON object. Fetch or copy this file again.")
    return problems


def declared_width(spec: ModelSpec) -> int:
    """Return the largest width of a token or embedding that the model's config tells.

    Args:
        spec: of an encoder.

    Returns:
        That of a wide encoder, where the config tells none (timm's does not).
    """
    widths = _numbers(json_object(spec.folder / spec.adapter.marker), _WIDTH_NAMES)
    return max(widths, default=_WIDE)


def _numbers(value: object, names: frozenset[str]) -> list[int]:
    """The whole numbers that stand under one of the names, at any depth of a JSON value."""
    if not isinstance(value, dict):
        return []
    own = [number for name, number in value.items() if name in names and isinstance(number, int)]
    return own + [number for inner in value.values() for number in _numbers(inner, names)]


def _missing_shards(folder: Path) -> list[str]:
    """Parts of split weights that the index names."""
    missing = []
    for index in (path for path in files_below(folder) if path.match(INDEX)):
        with suppress(ModelError):  # a damaged index: see `damaged_files`
            parts = [index.parent / name for name in shard_names(index)]
            gone = [path for path in parts if not path.is_file()]
            missing += [path.relative_to(folder).as_posix() for path in gone]
    return missing


def _missing_parts(folder: Path) -> list[str]:
    missing = []
    for name, entry in json_object(folder / "model_index.json").items():
        if name.startswith("_") or not isinstance(entry, list) or not all(entry):
            continue  # a plain value, or a part that this pipeline goes without
        other = [files for beginning, files in _PARTS.items() if name.startswith(beginning)]
        if other:
            missing += none_of(folder, name, other[0])
        else:
            missing += none_of(folder, name, (_CONFIG,)) + none_of(folder, name, (WEIGHTS,))
    return missing


def none_of(folder: Path, part: str, choices: tuple[str, ...]) -> list[str]:
    """Return the choices as one entry, unless a file of one of these names is there.

    Args:
        folder: of the model.
        part: of a pipeline, empty for a model of one part.
        choices: names, or patterns of names.
    """
    place = folder / part
    if any(path.is_file() for choice in choices for path in place.glob(choice)):
        return []
    named = [choice for choice in choices if "*" not in choice] or choices
    return [" or ".join(f"{part}/{choice}" if part else choice for choice in named)]
