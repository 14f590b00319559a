"""What a frozen model is known by before it is loaded, and what it must offer once it is.

A new library is one file that implements a protocol of its role and one entry in `registry.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.config.section import Section
from fedmvp_flwr.foundation.folders.files import json_object

if TYPE_CHECKING:
    from PIL.Image import Image

Role = Literal["image_encoder", "text_encoder", "captioner", "image_generator"]
HUB_FILES = ("*.json", "*.txt", "*.model", "*.bpe", "*.jinja", "*.safetensors")


class ModelOptions(Section):
    """What stands behind the `?` of a spec; what is not named is the model's own affair.

    Attributes:
        dtype: type that the model computes in.
        batch: items per call; None: `foundation-batch-size`.
        max_tokens: longest caption or answer; None: the adapter's default.
        steps: sampling steps; None: what the folder's `fedmvp.json` or the pipeline says.
        guidance: guidance scale; None: as for the steps.
        size: height and width of an image in pixels; None: as for the steps.
        offload: what waits in main memory and moves to the GPU as needed: nothing, one `model`
            or layer after layer (`sequential`).
    """

    dtype: Literal["fp32", "bf16", "fp16"] = "fp32"
    batch: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=1)
    guidance: float | None = Field(default=None, ge=0)
    size: int | None = Field(default=None, ge=1)
    offload: Literal["none", "model", "sequential"] = "none"


@dataclass(frozen=True)
class Library:
    """How one library's models take a role.

    Attributes:
        loader: "module:name" of the adapter's class, or of a function that returns one; both take
            a `LoadContext`.
        version: rises when the adapter computes something else, so that stored values expire.
        marker: the JSON file that every model folder of this library holds.
        options: names of the `ModelOptions` that a spec may have.
        embedded: name of the model that comes with FedMVP, empty if none does.
        joint_space: whether the pooled embeddings of one model's images and texts are comparable;
            or the `model_type`s, as the marker names them, of the models whose are.
        architectures: the spec may name an architecture, "library:ARCHITECTURE:/path".
        one_file: the spec may name one weights file instead of its folder.
        hub_name: "module:function" that makes the name of a place on the hub from an architecture
            and a tag, "library:ARCHITECTURE:TAG"; empty: there are no tags.
        hub_files: patterns of the files that are fetched from the hub.
    """

    loader: str
    version: int
    marker: str
    options: tuple[str, ...] = ()
    embedded: str = ""
    joint_space: bool | frozenset[str] = False
    architectures: bool = False
    one_file: bool = False
    hub_name: str = ""
    hub_files: tuple[str, ...] = HUB_FILES


@dataclass(frozen=True)
class ModelSpec:
    """One frozen model: what was asked for, and where it lies.

    Attributes:
        role: what it is for.
        key: the run-config key that names it.
        text: what that key says.
        library_name: how the registry calls its library.
        library: the registry's entry.
        folder: the folder that holds it.
        architecture: the library's name of it, where the spec names one, else empty.
        weights: name of the weights file, where the spec names one.
        options: how it is to be called.
    """

    role: Role
    key: str
    text: str
    library_name: str
    library: Library
    folder: Path
    architecture: str
    weights: str | None
    options: ModelOptions

    @property
    def joint(self) -> bool:
        """Whether its pooled embeddings can be compared with those of its other side."""
        space = self.library.joint_space
        if isinstance(space, bool):
            return space
        return json_object(self.folder / self.library.marker).get("model_type") in space


@dataclass(frozen=True)
class LoadContext:
    """What a loader gets.

    Attributes:
        spec: the model, whose folder is there.
        device: where the model computes.
        settings: of the frozen models (image grid, text length).
        shared: parts that several roles load only once, by a name of the loader.
    """

    spec: ModelSpec
    device: str
    settings: ModelSettings
    shared: dict[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """Frozen encoder of one modality with its own preprocessing or tokenizer.

    Attributes:
        token_width: D of the tokens.
        pooled_width: P of the pooled embedding.
    """

    token_width: int
    pooled_width: int

    def encode(self, items: Sequence[Any]) -> list[ModalityFeatures]:
        """Encode RGB images of any size, or texts: float16 tokens (T, D) and pooled (P,).

        Of an image T is grid * grid, of a text its real length.
        """
        ...


class Captioner(Protocol):
    """Frozen image-to-text model."""

    def caption_each(self, images: Sequence["Image"], prompts: Sequence[str]) -> list[list[str]]:
        """Continue every prompt for each image: one list of N texts per prompt, the new text only.

        N may be 0. The texts are stripped.
        """
        ...


class ImageGenerator(Protocol):
    """Frozen text-to-image model."""

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> list["Image"]:
        """Return one RGB image per prompt; image i depends on prompt i and seed i alone."""
        ...
