"""How large the models are: image size, patches, widths and layers."""

from dataclasses import dataclass

from fedmvp_flwr.base.errors import ConfigError

_HALVINGS = 4  # the autoencoder halves an image twice
_LATENT_PATCH = 2  # latents are read in patches of 2 x 2
_LEAST_TOKENS = 8  # special tokens, a prompt and a word


@dataclass(frozen=True)
class Shape:
    """Sizes of the encoder, the captioner and the generator.

    Attributes:
        image_size: height and width in pixels that all of them see or draw.
        patch: pixels per side of a patch, of encoder and captioner.
        width: of their transformers, and of the generator's text encoder.
        heads: attention heads of those.
        vision_layers: of the image towers, which encoder and captioner share.
        text_layers: of the text towers and of the decoder.
        context: longest text in tokens, special ones included.
        autoencoder_width: channels of the autoencoder.
        latent_channels: of the latents, whose sides are a quarter of the image's.
        generator_heads: attention heads of the latent transformer.
        generator_head_width: width of each of them.
        generator_layers: of the latent transformer.

    Raises:
        ConfigError: sizes that do not divide as they must; names all of them.
    """

    image_size: int = 64
    patch: int = 8
    width: int = 128
    heads: int = 4
    vision_layers: int = 4
    text_layers: int = 2
    context: int = 64
    autoencoder_width: int = 48
    latent_channels: int = 8
    generator_heads: int = 5
    generator_head_width: int = 32
    generator_layers: int = 6

    def __post_init__(self) -> None:
        """Check what the architectures take for granted."""
        problems = [f"{k}={v}, expected 1 or more" for k, v in vars(self).items() if v < 1]
        if not problems:
            step = _HALVINGS * _LATENT_PATCH
            if self.image_size % self.patch or self.image_size % step:
                problems.append(
                    f"image_size={self.image_size}, expected a multiple of patch={self.patch} and "
                    f"of {step}"
                )
            if self.width % self.heads:
                problems.append(f"width={self.width}, expected a multiple of heads={self.heads}")
            if self.context < _LEAST_TOKENS:
                problems.append(f"context={self.context}, expected {_LEAST_TOKENS} or more")
        if problems:
            raise ConfigError("Wrong model shape: " + "; ".join(problems) + ".")

    @property
    def latent_size(self) -> int:
        """Height and width of the latents."""
        return self.image_size // _HALVINGS
