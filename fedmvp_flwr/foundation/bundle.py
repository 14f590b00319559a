"""The frozen models of a run: known by their fingerprints, loaded only when one has to work."""

import functools
from collections.abc import Iterable
from typing import Any, cast

from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.fingerprint import model_fingerprint, space_fingerprint
from fedmvp_flwr.foundation.folders.hub import revision_of
from fedmvp_flwr.foundation.registry import load_model, parse_spec
from fedmvp_flwr.foundation.spec import (
    Captioner,
    Encoder,
    ImageGenerator,
    LoadContext,
    ModelSpec,
    Role,
)

ENCODER_ROLES: dict[str, Role] = {IMAGE: "image_encoder", TEXT: "text_encoder"}
GENERATOR_ROLES: dict[str, Role] = {IMAGE: "image_generator", TEXT: "captioner"}


class FoundationModels:
    """The four frozen models that the settings name, each loaded at its first use.

    Args:
        settings: name the models.
        device: where they compute: "cpu", "cuda" or "cuda:N".
        gate_encoder: spec of the image-text model that judges completions, if it is another one.
        key: the run-config key that names all of them; default: each has that of its role.

    Raises:
        ModelError: where a role is first asked for, if its model is not there or not known.
    """

    def __init__(
        self,
        settings: ModelSettings,
        device: str = "cpu",
        gate_encoder: str = "",
        key: str = "",
    ) -> None:
        self.settings, self.device = settings, device
        self._gate_encoder, self._key = gate_encoder, key
        self._specs: dict[Role, ModelSpec] = {}
        self._fingerprints: dict[Role, str] = {}
        self._loaded: dict[Role, Any] = {}
        self._shared: dict[str, Any] = {}

    def require(self, roles: Iterable[Role]) -> None:
        """Find and fingerprint models, and those of the gate; nothing is loaded."""
        for role in roles:
            self.fingerprint(role)
        if self.gate is not self:
            self.gate.require(ENCODER_ROLES.values())

    @functools.cached_property
    def gate(self) -> "FoundationModels":
        """The models whose encoders judge completions: these, or those of `gate-encoder`.

        Only the pooled embeddings of the gate's encoders are looked at, so that their tokens are
        kept to one.
        """
        if not self._gate_encoder:
            return self
        update = {
            "image_encoder": self._gate_encoder,
            "text_encoder": self._gate_encoder,
            "image_grid": 1,
            "text_max_tokens": 1,
        }
        settings = self.settings.model_copy(update=update)
        return FoundationModels(settings, device=self.device, key="gate-encoder")

    def identities(self) -> dict[str, dict[str, str | None]]:
        """Return what names the models that have been asked for: spec, fingerprint, hub revision.

        Returns:
            By run-config key; a hub revision is "owner/name@commit", None for a local model.
        """
        named = {
            role.replace("_", "-"): {
                "spec": self.spec(role).text,
                "fingerprint": fingerprint,
                "revision": revision_of(self.spec(role).folder),
            }
            for role, fingerprint in sorted(self._fingerprints.items())
        }
        if self.gate is not self:
            named["gate-encoder"] = self.gate.identities()["image-encoder"]
        return named

    @property
    def models_loaded(self) -> tuple[Role, ...]:
        """The roles whose model is in memory, those of the gate left out."""
        return tuple(sorted(self._loaded))

    def spec(self, role: Role) -> ModelSpec:
        """Return where a role's model lies and how it is called."""
        if role not in self._specs:
            self._specs[role] = parse_spec(role, getattr(self.settings, role), self._key)
        return self._specs[role]

    def at_once(self, role: Role) -> int:
        """How many items a call of a role's model takes."""
        return self.spec(role).options.batch or self.settings.foundation_batch_size

    def fingerprint(self, role: Role) -> str:
        """Return the content name of a role's model."""
        if role not in self._fingerprints:
            self._fingerprints[role] = model_fingerprint(self.spec(role))
        return self._fingerprints[role]

    def space(self, modality: str) -> str | None:
        """Return the name of the space of a modality's pooled embeddings, None if its own."""
        return space_fingerprint(self.spec(ENCODER_ROLES[modality]))

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
    def image_encoder(self) -> Encoder:
        """The frozen image encoder."""
        return self.encoder(IMAGE)

    @property
    def text_encoder(self) -> Encoder:
        """The frozen text encoder."""
        return self.encoder(TEXT)

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

    def _load(self, role: Role) -> Any:  # noqa: ANN401 - one protocol per role
        if role not in self._loaded:
            context = LoadContext(self.spec(role), self.device, self.settings, self._shared)
            self._loaded[role] = load_model(context)
        return self._loaded[role]
