"""Finds the folder of a frozen model that is on this machine: embedded, or by its path."""

from pathlib import Path

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.base.files import expanded

_WEIGHTS = ".safetensors"
_CONVERT = (
    "Convert the weights to safetensors; other formats are not loaded, because they may run code."
)


def embedded_folder(key: str, name: str) -> Path:
    """Return the folder of an embedded model: "encoder", "captioner" or "generator".

    Raises:
        ModelError: the package of the embedded models or the model is not there.
    """
    hint = (
        "Install the package fedmvp_assets (it comes with the repository: make setup), build its "
        "models (python -m fedmvp_assets.build), or name a model of your own: "
        f"{key}='library:/folder'."
    )
    try:
        from fedmvp_assets import model_path

        return Path(model_path(name))
    except ImportError as error:
        raise ModelError(f"the embedded models are not installed. {hint}") from error
    except FileNotFoundError as error:
        raise ModelError(f"{error} {hint}") from error


def is_path(text: str) -> bool:
    """Whether a text is an absolute path or one of the home folder."""
    return text.startswith(("/", "~"))


def local_folder(library: str, path: str, one_file: bool) -> tuple[Path, str | None]:
    """Return a local model's folder, and the name of its weights if one file is named.

    Args:
        library: its name, for errors.
        path: an absolute folder, or, if the library loads `one_file`, a .safetensors file in one.
        one_file: whether it does.

    Raises:
        ModelError: the path is relative, leads nowhere, to the home folder of nobody, or to a
            file that cannot be loaded.
    """
    place = expanded(path, ModelError)
    if not path or not place.is_absolute():
        raise ModelError(
            f"expected an absolute folder, '{library}:/folder'; Flower's processes do not run in "
            "your current directory."
        )
    if place.is_file():
        if not one_file:
            raise ModelError(
                f"{library} loads a whole folder and would not look at {place.name}; name the "
                f"folder: '{library}:{place.parent}'."
            )
        if place.suffix != _WEIGHTS:
            raise ModelError(f"{place.name} is no {_WEIGHTS} file. {_CONVERT}")
        return place.parent, place.name
    if not place.is_dir():
        raise ModelError(f"the folder {place} does not exist.")
    return place, None


def single_weights(folder: Path, named: str | None) -> Path:
    """Return the one weights file of a folder.

    Raises:
        ModelError: there is none, or there are several and none is named.
    """
    if named is not None:
        return folder / named
    found = sorted(path for path in folder.glob(f"*{_WEIGHTS}") if path.is_file())
    if not found:
        raise ModelError(f"{folder} holds no {_WEIGHTS} file. {_CONVERT}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelError(
            f"{folder} should hold one {_WEIGHTS} file, found {names}. Name the file instead of "
            "the folder."
        )
    return found[0]
