"""Settings of the local training and of the model that is trained."""

from pydantic import Field, model_validator

from fedmvp_flwr.config.section import Section


class TrainingSettings(Section):
    """Epochs, optimiser, and size of the joint encoder."""

    local_epochs: int = Field(2, ge=1, description="Epochs over the client's samples in a round.")
    batch_size: int = Field(32, ge=1, description="Samples per training step.")
    learning_rate: float = Field(
        2e-3, gt=0, description="Peak rate of AdamW; cosine over the rounds."
    )
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    model_width: int = Field(128, ge=8, description="Width d of the joint encoder.")
    model_layers: int = Field(1, ge=1, description="Transformer layers over both streams.")
    model_heads: int = Field(4, ge=1, description="Attention heads; divides the width.")
    model_dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the joint encoder.")

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "TrainingSettings":
        if self.model_width % self.model_heads:
            raise ValueError(
                f"model-heads={self.model_heads} does not divide model-width={self.model_width}"
            )
        return self
