"""The task, without any federation: digits of 8 x 8 pixels, a small CNN, training, evaluation."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

NUM_CLASSES = 10
_PIXEL_MAX = 16.0  # scikit-learn's digits have 17 grey levels
_TEST_SHARE = 0.25
_PUBLIC_SHARE = 0.1  # of all samples: what the server may blend its probe from
_HELD_OUT_SHARE = 0.2  # of a client's samples
_SMALLEST_CLIENT = 10  # samples; the deal is drawn again below it
_DEALS = 1000  # draws before giving up


@dataclass(frozen=True)
class Digits:
    """Images (n, 1, 8, 8) in 0..1 and their labels (n,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: np.ndarray) -> "Digits":
        """Return the samples of the given indices."""
        chosen = torch.from_numpy(index)
        return Digits(self.images[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Split:
    """Who holds which of the 1,797 digits; no sample is in two places."""

    clients: Digits
    public: Digits
    test: Digits


class DigitsNet(nn.Module):
    """A CNN with BatchNorm, whose running statistics travel and are averaged like weights."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, NUM_CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """Penultimate activations (n, 64) of images (n, 1, 8, 8)."""
        features: Tensor = self.body(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 10) of images (n, 1, 8, 8)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def initial_model(seed: int) -> DigitsNet:
    """Return the untrained model of a seed."""
    with torch.random.fork_rng():  # torch's initialisers draw from the global generator
        torch.manual_seed(seed)
        return DigitsNet()


@lru_cache(maxsize=1)
def load_split(seed: int) -> Split:
    """Split scikit-learn's digits into the clients' part, a public part and the test set."""
    raw = load_digits()
    everything = Digits(
        torch.tensor(raw.images[:, None] / _PIXEL_MAX, dtype=torch.float32),
        torch.tensor(raw.target, dtype=torch.int64),
    )
    rest, test = train_test_split(
        np.arange(len(everything)),
        test_size=_TEST_SHARE,
        random_state=seed,
        stratify=raw.target,
    )
    clients, public = train_test_split(
        rest,
        test_size=round(_PUBLIC_SHARE * len(everything)),
        random_state=seed,
        stratify=raw.target[rest],
    )
    return Split(*(everything.select(index) for index in (clients, public, test)))


def client_digits(
    samples: Digits, partition_id: int, num_partitions: int, alpha: float, seed: int
) -> tuple[Digits, Digits]:
    """Return a client's training samples and its held-out ones, the labels skewed by Dirichlet.

    Args:
        samples: of all clients together.
        partition_id: the client, 0 to `num_partitions` - 1.
        num_partitions: number of clients.
        alpha: concentration; the smaller, the fewer classes a client holds.
        seed: fixes the deal.

    Raises:
        ValueError: no deal gives every client enough samples.
    """
    rng = np.random.default_rng(seed)
    labels = samples.labels.numpy()
    for _ in range(_DEALS):
        parts: list[list[int]] = [[] for _ in range(num_partitions)]
        for label in range(NUM_CLASSES):
            index = rng.permutation(np.flatnonzero(labels == label))
            shares = rng.dirichlet([alpha] * num_partitions)
            cuts = np.rint(np.cumsum(shares)[:-1] * len(index)).astype(int)
            for part, piece in zip(parts, np.split(index, cuts), strict=True):
                part.extend(piece.tolist())
        if min(len(part) for part in parts) >= _SMALLEST_CLIENT:
            mine = rng.permutation(parts[partition_id])
            held_out = round(_HELD_OUT_SHARE * len(mine))
            return samples.select(mine[held_out:]), samples.select(mine[:held_out])
    raise ValueError(
        f"No deal of {len(labels)} digits to {num_partitions} clients with dirichlet-alpha={alpha} "
        f"gives each at least {_SMALLEST_CLIENT}: raise dirichlet-alpha or use fewer clients."
    )


def blended_digits(public: Digits, size: int, seed: int) -> Tensor:
    """Return `size` images (size, 1, 8, 8), each a random blend of two public digits."""
    rng = np.random.default_rng(seed)
    first, second = (torch.from_numpy(rng.integers(len(public), size=size)) for _ in range(2))
    share = torch.tensor(rng.random((size, 1, 1, 1)), dtype=torch.float32)
    return share * public.images[first] + (1 - share) * public.images[second]


def train(
    model: DigitsNet,
    samples: Digits,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> float:
    """Train the model in place; return the mean loss of the last epoch."""
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    loss_sum = 0.0
    for _ in range(epochs):
        loss_sum = 0.0
        order = rng.permutation(len(samples))
        for start in range(0, len(order), batch_size):
            batch = samples.select(order[start : start + batch_size])
            loss = F.cross_entropy(model(batch.images), batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss_sum += loss.item() * len(batch)
    return loss_sum / len(samples)


@torch.inference_mode()
def accuracy(model: DigitsNet, samples: Digits) -> float:
    """Share of the samples, 0 to 1, that the model classifies right."""
    model.eval()
    return (model(samples.images).argmax(dim=1) == samples.labels).float().mean().item()
