"""Distances of made to true images: of all pairs, and of each class that has enough of them."""

from torch import Tensor

from fedmvp_flwr.quality.distances import frechet_distance, kernel_distance

# Within a class of the embedded data the KID of true images is 0 +- 0.3 with ten pairs, 0 +- 0.9
# with four; that of made images is 0.5 to 3.
LEAST_FOR_KID = 10
LEAST_FOR_FRECHET = 20  # two halves of ten


def overall_distances(made: Tensor, real: Tensor, labels: Tensor) -> dict[str, float]:
    """Distances of made to true images, and of the true ones among themselves.

    Args:
        made: (N, D) features of the made images, N >= 4.
        real: (N, D) features of the true ones, pair by pair.
        labels: (N,) class indices, which each half gets its share of.
    """
    order = labels.argsort(stable=True)
    made, real = made[order], real[order]
    one, other = real[0::2], real[1::2]
    return {
        **_frechet(made, real),
        "kid": kernel_distance(made, real),
        "kid-of-real": kernel_distance(one[: len(other)], other),
    }


def class_distances(made: Tensor, real: Tensor) -> dict[str, float | None]:
    """The same for the pairs of one class; None for what these are too few for.

    A KID of true images among themselves is left out: it is 0 but for chance, which is large for
    the halves of one class.

    Args:
        made: (N, D) features of the made images.
        real: (N, D) features of the true ones, pair by pair.
    """
    enough = len(real) >= LEAST_FOR_FRECHET
    return {
        **(_frechet(made, real) if enough else {"frechet": None, "frechet-of-real": None}),
        "kid": kernel_distance(made, real) if len(real) >= LEAST_FOR_KID else None,
    }


def _frechet(made: Tensor, real: Tensor) -> dict[str, float]:
    """Fréchet distances between halves: every other pair, and those between.

    The distance depends on the number of samples, so that both are taken from equal numbers: the
    made images of one half against the true ones of the other, and the true ones of both.
    """
    other = real[1::2]
    return {
        "frechet": frechet_distance(made[0::2], other),
        "frechet-of-real": frechet_distance(real[0::2], other),
    }
