"""The frozen models of a run: known by their fingerprints, loaded only when one has to work."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol, cast

from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.folders.fingerprint import model_fingerprint, space_fingerprint
from fedmvp_flwr.foundation.folders.hub import revision_of
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
        gate_encoder: spec of the image-text model that judges completions, if it is another one.
    """

    def __init__(self, config: RunConfig, device: str = "cpu", gate_encoder: str = "") -> None:
        """See the class."""
        self.config = config
        self.device = device
        self._gate_encoder = gate_encoder
        self._specs: dict[Role, ModelSpec] = {}
        self._fingerprints: dict[Role, str] = {}
        self._loaded: dict[Role, Any] = {}
        self._shared: dict[str, Any] = {}
        self._key = ""  # names the run-config key in errors, if it is not the role's own

    def require(self, roles: Iterable[Role]) -> None:
        """Check and fingerprint models, and those of the gate; nothing is loaded.

        The others are checked when they are asked for.

        Raises:
            ModelError: one of these models is not there or not known.
        """
        for role in roles:
            self.fingerprint(role)
        if self.gate is not self:
            for role in ENCODER_ROLES.values():
                self.gate.fingerprint(role)

    @functools.cached_property
    def gate(self) -> "FoundationModels":
        """The models whose encoders judge completions: these, or those of `gate-encoder`.

        Only the pooled embeddings of the gate's encoders are looked at, so that their tokens are
        kept to one.
        """
        spec = self._gate_encoder
        if not spec:
            return self
        update = {
            "image_encoder": spec,
            "text_encoder": spec,
            "image_grid": 1,
            "text_max_tokens": 1,
        }
        gate = FoundationModels(self.config.changed(**update), self.device)
        gate._key = "gate-encoder"
        return gate

    def identities(self) -> dict[str, dict[str, str | None]]:
        """Return what names the models that have been asked for: spec, fingerprint, hub revision.

        Returns:
            By run-config key; a hub revision is "owner/name@commit", None for a local model.
        """
        named = {
            role.replace("_", "-"): {
                "spec": str(getattr(self.config.models, role)),
                "fingerprint": fingerprint,
                "revision": revision_of(self._spec(role).folder),
            }
            for role, fingerprint in sorted(self._fingerprints.items())
        }
        if self.gate is not self:
            named["gate-encoder"] = self.gate.identities()["image-encoder"]
        return named

    def spec(self, role: Role) -> ModelSpec:
        """Return where a role's model lies.

        Raises:
            ModelError: the model is not there or not known.
        """
        return self._spec(role)

    @property
    def models_loaded(self) -> tuple[Role, ...]:
        """The roles whose model is in memory, those of the gate left out."""
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
        """Whether the gate's pooled embeddings of images and texts can be compared by cosine."""
        if self.gate is not self:
            return self.gate.comparable
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
        if self.gate is not self:
            self.gate.release()

    def _spec(self, role: Role) -> ModelSpec:
        if role not in self._specs:
            self._specs[role] = parse_spec(role, getattr(self.config.models, role), self._key)
        return self._specs[role]

    def _load(self, role: Role) -> Any:  # noqa: ANN401 - one protocol per role
        if role not in self._loaded:
            spec = self._spec(role)
            context = LoadContext(
                spec.folder,
                self.device,
                self.config,
                self._shared,
                spec.architecture,
                spec.weights,
            )
            self._loaded[role] = load_model(spec, context)
        return self._loaded[role]
