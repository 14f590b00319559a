"""What the joint encoder sees of a sample in a training step: the image, the text, or both.

Of a real pair one modality is hidden now and then, so that the model learns to do without. Of a
pair with a generated half three views are shown: the real half alone, the generated half alone,
both. Without the second a class whose texts are all generated can never be told by its text; where
the real text is common it is not needed. So the shares of the views follow how often the class
really has the modality, among all owners.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fedmvp_flwr.base.features import Batch
from fedmvp_flwr.config.method import MethodSettings

_COMMON, _RARE = 0.7, 0.25  # real half alone: where all, where none of the class is real
_GENERATED = 0.5  # generated half alone, where none of the class is real


def view_shares(method: MethodSettings, real_share: Tensor) -> tuple[Tensor, Tensor]:
    """How often a pair with a generated half is shown by one half; else both are shown.

    Args:
        method: its views.
        real_share: (N,) in [0, 1], how much of the sample's class really has what is generated.

    Returns:
        (N,) chances of the real half alone and of the generated half alone.
    """
    if method.fixed_views:
        real, generated = method.fixed_views
        return torch.full_like(real_share, real), torch.full_like(real_share, generated)
    return _COMMON * real_share + _RARE * (1 - real_share), _GENERATED * (1 - real_share)


def show_views(
    batch: Batch,
    method: MethodSettings,
    real_shares: Mapping[str, Tensor],
    generator: torch.Generator,
) -> Batch:
    """Hide modalities by chance; something of each sample always stays.

    Args:
        batch: N samples.
        method: `modality_dropout` for real pairs, `views` for those with a generated half.
        real_shares: by modality (C,), see `ClassCounts.real_shares`; read where a pair has a
            generated half.
        generator: on the CPU.
    """
    names = list(batch.modalities)
    device = batch.labels.device
    draw = torch.rand(len(batch), generator=generator).to(device)
    present = torch.stack([batch.modalities[name].present for name in names])
    generated = torch.stack([batch.modalities[name].generated for name in names]) & present
    pair = present.all(dim=0)
    mixed, real = pair & (generated.sum(dim=0) == 1), pair & ~generated.any(dim=0)
    each = method.modality_dropout / len(names)  # one draw decides whether, and which one
    hidden = {
        name: real & (row * each <= draw) & (draw < (row + 1) * each)
        for row, name in enumerate(names)
    }
    for row, name in enumerate(names if mixed.any() else []):
        made = mixed & generated[row]
        real_share = real_shares[name].to(device)[batch.labels]
        real_alone, generated_alone = view_shares(method, real_share)
        (other,) = set(names) - {name}
        hidden[name] |= made & (draw < real_alone)
        hidden[other] |= made & (real_alone <= draw) & (draw < real_alone + generated_alone)
    return batch.hide(hidden)
