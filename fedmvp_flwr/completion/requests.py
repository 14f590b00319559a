"""What is asked of a set of samples: which of their modalities are completed, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import MODALITIES, Sample
from fedmvp_flwr.completion.completer import Completer, Wanted
from fedmvp_flwr.completion.contents import SOURCE_OF, content_digest

Flags = Mapping[str, Sequence[bool]]  # by modality (N,)


def holes(samples: Sequence[Sample]) -> dict[str, list[bool]]:
    """What training samples ask for: each modality that is missing."""
    return {name: [not sample.has(name) for sample in samples] for name in MODALITIES}


def all_sides(samples: Sequence[Sample]) -> dict[str, list[bool]]:
    """What test samples ask for: each modality, from the other one, if that is there."""
    return {name: [sample.has(SOURCE_OF[name]) for sample in samples] for name in MODALITIES}


@dataclass(frozen=True)
class Request:
    """Samples, and what is asked for of them.

    Attributes:
        samples: N samples; a modality that is None is a hole.
        complete: by modality, N flags: make this modality of the sample from its other one, also
            where the real one is there (test sets). Ignored by a completer that completes nothing.
        completer: makes the completions. A sample of its pool is never completed by itself, and one
            with nothing to take from stays as it is.
        class_names: in label order, used with `label-in-prompt` only; leave empty for test data,
            whose labels may never enter a prompt.
    """

    samples: Sequence[Sample]
    complete: Flags
    completer: Completer
    class_names: Sequence[str] = ()

    @cached_property
    def digests(self) -> dict[str, list[str | None]]:
        """By modality, the N digests of the real contents, None at holes."""
        return {m: [content_digest(sample, m) for sample in self.samples] for m in MODALITIES}

    @cached_property
    def wanted(self) -> dict[str, list[Wanted | None]]:
        """By modality what each of the N samples asks for, None where nothing.

        Raises:
            DataError: a sample lacks what its completion would be made from.
        """
        return {
            modality: [
                self._wanted(row, modality) if flag and self.completer.completes else None
                for row, flag in enumerate(self.complete.get(modality, [False] * len(self.samples)))
            ]
            for modality in MODALITIES
        }

    def _wanted(self, row: int, modality: str) -> Wanted | None:
        sample, digest = self.samples[row], self.digests[SOURCE_OF[modality]][row]
        if digest is None:
            raise DataError(
                f"Sample '{sample.key}': its {modality} cannot be completed, because it has "
                f"no {SOURCE_OF[modality]} either. Leave it out."
            )
        class_name = self.completer.class_name(sample, self.class_names)
        key = self.completer.key(modality, digest, class_name, sample.key)
        return None if key is None else Wanted(key, digest, class_name, sample.key)
