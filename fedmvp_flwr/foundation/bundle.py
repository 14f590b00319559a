"""The frozen models of a run: known by their fingerprints, loaded only when one has to work."""

import functools
from collections.abc import Sequence
from typing import Any, Protocol, cast

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.data.samples import IMAGE, TEXT
from fedmvp_flwr.features import ModalityFeatures
from fedmvp_flwr.foundation.fingerprint import model_fingerprint, space_fingerprint
from fedmvp_flwr.foundation.protocols import Captioner, ImageEncoder, ImageGenerator, TextEncoder
from fedmvp_flwr.foundation.specs import LoadContext, ModelSpec, Role, load_model, parse_spec

ENCODER_ROLES: dict[str, Role] = {IMAGE: "image_encoder", TEXT: "text_encoder"}
GENERATOR_ROLES: dict[str, Role] = {IMAGE: "image_generator", TEXT: "captioner"}


class Encoder(Protocol):
    """What the encoders of all modalities have in common."""

    token_width: int
    pooled_width: int

    def encode(self, items: Sequence[Any]) -> list[ModalityFeatures]:
        """Encode contents of the encoder's own modality."""
        ...


class FoundationModels:
    """The four frozen models that a configuration names, each loaded at its first use.

    Args:
        config: names the models and their settings.
        device: where they compute: "cpu", "cuda" or "cuda:N".
    """

    def __init__(self, config: RunConfig, device: str = "cpu") -> None:
        """See the class."""
        self.config = config
        self.device = device
        self._specs: dict[Role, ModelSpec] = {}
        self._fingerprints: dict[Role, str] = {}
        self._loaded: dict[Role, Any] = {}
        self._shared: dict[str, Any] = {}

    @classmethod
    def from_config(
        cls, config: RunConfig, device: str = "cpu", roles: Sequence[Role] | None = None
    ) -> "FoundationModels":
        """Name the models of a run; nothing is loaded.

        Args:
            config: names the models and their settings.
            device: where they compute.
            roles: checked and fingerprinted at once; the others when they are asked for. Default:
                both encoders, and the generative models if `completion` is `foundation`.

        Raises:
            ModelError: one of these models is not there or not known.
        """
        models = cls(config, device)
        if roles is None:
            roles = list(ENCODER_ROLES.values())
            if config.completion == "foundation":
                roles += list(GENERATOR_ROLES.values())
        for role in roles:
            models.fingerprint(role)
        return models

    @property
    def models_loaded(self) -> tuple[Role, ...]:
        """The roles whose model is in memory."""
        return tuple(sorted(self._loaded))

    def fingerprint(self, role: Role) -> str:
        """Return the content name of a role's model.

        Raises:
            ModelError: the model is not there or not known.
        """
        if role not in self._fingerprints:
            self._fingerprints[role] = model_fingerprint(self._spec(role))
        return self._fingerprints[role]

    def space(self, modality: str) -> str | None:
        """Return the name of the space of a modality's pooled embeddings, None if its own."""
        return space_fingerprint(self._spec(ENCODER_ROLES[modality]))

    @functools.cached_property
    def comparable(self) -> bool:
        """Whether the pooled embeddings of images and texts can be compared by cosine."""
        return self.space(IMAGE) is not None and self.space(IMAGE) == self.space(TEXT)

    def encoder(self, modality: str) -> Encoder:
        """Return the frozen encoder of a modality, loaded now if it is not yet."""
        return cast(Encoder, self._load(ENCODER_ROLES[modality]))

    @property
    def image_encoder(self) -> ImageEncoder:
        """The frozen image encoder."""
        return cast(ImageEncoder, self._load("image_encoder"))

    @property
    def text_encoder(self) -> TextEncoder:
        """The frozen text encoder."""
        return cast(TextEncoder, self._load("text_encoder"))

    @property
    def captioner(self) -> Captioner:
        """The frozen captioner."""
        return cast(Captioner, self._load("captioner"))

    @property
    def image_generator(self) -> ImageGenerator:
        """The frozen text-to-image model."""
        return cast(ImageGenerator, self._load("image_generator"))

    def release(self) -> None:
        """Drop the loaded models; a later use loads them again."""
        self._loaded.clear()
        self._shared.clear()

    def _spec(self, role: Role) -> ModelSpec:
        if role not in self._specs:
            self._specs[role] = parse_spec(role, getattr(self.config, role))
        return self._specs[role]

    def _load(self, role: Role) -> Any:  # noqa: ANN401 - one protocol per role
        if role not in self._loaded:
            spec = self._spec(role)
            context = LoadContext(spec.folder, self.device, self.config, self._shared)
            self._loaded[role] = load_model(spec, context)
        return self._loaded[role]
