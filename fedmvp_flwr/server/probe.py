"""The synthetic probe: samples that the server generates itself, to compare the clients on.

For every class the server turns its public description into texts, the frozen generator into
images, and the frozen encoders into features, once (paper, section 3.3). No client data is used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from flwr.app import ArrayRecord
from torch import Tensor

from fedmvp_flwr.aggregation.wire import unpack
from fedmvp_flwr.base.errors import CheckpointError, DataError
from fedmvp_flwr.base.features import Batch, ModalityFeatures, stack_modality
from fedmvp_flwr.base.samples import IMAGE, TEXT
from fedmvp_flwr.base.seeds import seed_for
from fedmvp_flwr.base.tensor_file import load_tensors, save_tensors, tensors_digest
from fedmvp_flwr.foundation.spec import Encoder, ImageGenerator
from fedmvp_flwr.model.network import FedMVPNetwork

# Class-agnostic frames of a public description; each class is shown through all of them in turn.
PROBE_FRAMES = ("a picture of {}", "{}", "a photo of {}", "a detailed picture of {}")
_REPRESENT_BATCH = 256
_INSTEAD = "With probe-source='generated' a new one is made."


@dataclass(frozen=True)
class Probe:
    """Frozen features of the synthetic samples.

    Attributes:
        batch: m complete samples, labelled with the class they were generated for; the graph of the
            clients needs two.
    """

    batch: Batch

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the features."""
        return tensors_digest(self.batch.tensors())


def probe_texts(descriptions: Sequence[str], per_class: int) -> list[tuple[int, str]]:
    """(class index, text) of every probe sample: `per_class` framed descriptions per class."""
    return [
        (label, PROBE_FRAMES[i % len(PROBE_FRAMES)].format(description))
        for label, description in enumerate(descriptions)
        for i in range(per_class)
    ]


def generate_probe(
    texts: Sequence[tuple[int, str]],
    generator: ImageGenerator,
    image_encoder: Encoder,
    text_encoder: Encoder,
    seed: int,
    batch_size: int,
) -> Probe:
    """Generate the images of the probe's texts and encode both.

    Args:
        texts: (class index, text) of each sample.
        generator: frozen.
        image_encoder: frozen, the same as at the clients.
        text_encoder: the same.
        seed: sample i depends on this and on i alone.
        batch_size: samples per call of a model.
    """
    images: list[ModalityFeatures] = []
    words: list[ModalityFeatures] = []
    for start in range(0, len(texts), batch_size):
        prompts = [text for _, text in texts[start : start + batch_size]]
        seeds = [seed_for(seed, "probe", start + i) for i in range(len(prompts))]
        images += image_encoder.encode(generator.generate(prompts, seeds))
        words += text_encoder.encode(prompts)
    modalities = {
        name: stack_modality(
            features, [True] * len(texts), encoder.token_width, encoder.pooled_width
        )
        for name, features, encoder in (
            (IMAGE, images, image_encoder),
            (TEXT, words, text_encoder),
        )
    }
    return Probe(Batch(modalities, torch.tensor([label for label, _ in texts])))


def save_probe(path: Path, probe: Probe) -> None:
    """Write a probe to a .safetensors file, atomically."""
    save_tensors(path, probe.batch.tensors(), {"probe": probe.digest})


def load_probe(path: Path) -> Probe:
    """Read a probe of `save_probe`.

    Raises:
        DataError: no such file, or a damaged one.
    """
    try:
        tensors, metadata = load_tensors(path)
        probe = Probe(Batch.of_tensors(tensors))
    except (CheckpointError, KeyError) as error:
        raise DataError(
            f"The probe {path} cannot be used: {str(error).removesuffix('.')}. {_INSTEAD}"
        ) from error
    if probe.digest != metadata.get("probe"):
        raise DataError(
            f"The probe {path} is damaged: its content does not match its hash. {_INSTEAD}"
        )
    return probe


def require_fitting(probe: Probe, widths: Mapping[str, list[int]], num_classes: int) -> None:
    """Refuse a probe that was made for another run.

    Args:
        probe: from anywhere.
        widths: of the run's frozen features, by modality.
        num_classes: that the run knows.

    Raises:
        DataError: it was made with other frozen encoders, or has samples of other classes.
    """
    for name, ours in widths.items():
        theirs = probe.batch.widths[name]
        if ours != theirs:
            raise DataError(
                f"The probe's {name} features have widths {theirs} (tokens, pooled), those of this "
                f"run {ours}: it was made with other encoders. {_INSTEAD}"
            )
    largest = int(probe.batch.labels.max())
    if largest >= num_classes:
        raise DataError(
            f"The probe has samples of class {largest}, this run knows {num_classes} classes, "
            "counted from 0: it was made for other data. " + _INSTEAD
        )


class ProbeRepresenter:
    """Represents the probe with a client's arrays: z_J of every probe sample.

    One network serves all clients: their arrays are lent to it for a call, never copied into it.

    Args:
        network: the architecture of the run, in any state.
        device: where to compute.
    """

    def __init__(self, network: FedMVPNetwork, device: torch.device | str) -> None:
        self._network = network.to(device).eval()
        self._device = torch.device(device)

    @torch.inference_mode()
    def __call__(self, arrays: ArrayRecord, probe: Probe) -> Tensor:
        """Joint vectors (m, d) of the probe's m samples."""
        state = {
            name.removeprefix("encoder."): tensor.to(self._device)
            for name, tensor in unpack(arrays).items()
            if name.startswith("encoder.")
        }
        return torch.cat(
            [
                torch.func.functional_call(
                    self._network.encoder, state, (probe.batch.select(index).to(self._device),)
                ).cpu()
                for index in torch.arange(len(probe.batch)).split(_REPRESENT_BATCH)
            ]
        )
