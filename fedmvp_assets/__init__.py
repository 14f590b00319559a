"""The embedded frozen models: small, trained on drawn flowers, loaded by their real classes."""

from pathlib import Path

MODELS = ("captioner", "encoder", "generator")


def model_path(name: str) -> Path:
    """Folder of an embedded model.

    Args:
        name: `encoder` (open_clip), `captioner` (transformers) or `generator` (diffusers).

    Raises:
        ValueError: no such model.
        FileNotFoundError: the model's files are not there.
    """
    if name not in MODELS:
        raise ValueError(f"'{name}' is none of the embedded models {MODELS}.")
    path = Path(__file__).parent / "models" / name
    if not path.is_dir():
        raise FileNotFoundError(
            f"The embedded {name} is missing ({path}). Install fedmvp_assets with its models, or "
            "build them: python -m fedmvp_assets.build"
        )
    return path
