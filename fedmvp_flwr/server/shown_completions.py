"""Some completions of the server's test set beside the originals, for the report."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fedmvp_flwr.base.files import write_atomic, write_json
from fedmvp_flwr.base.run_folder import RunFolder
from fedmvp_flwr.base.samples import IMAGE, TEST, TEXT, Dataset
from fedmvp_flwr.base.seeds import torch_generator
from fedmvp_flwr.completion.completer import Completer
from fedmvp_flwr.completion.contents import SOURCE_OF
from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.completion.prepared import PreparedSet
from fedmvp_flwr.completion.store import FeatureStore

if TYPE_CHECKING:
    from PIL.Image import Image

_SHOWN = 12  # half of them images, half texts


def save_shown_completions(
    folder: RunFolder,
    dataset: Dataset,
    test: PreparedSet,
    accepted: Mapping[str, Tensor],
    completer: Completer,
    store: FeatureStore,
    seed: int,
) -> None:
    """Write pictures and texts of completions, where there are any.

    They come from the server's own public test set: no completion of a client leaves it.

    Args:
        folder: of the run.
        dataset: with the whole samples of the test set.
        test: the test set, completed.
        accepted: by modality, (N,) bool: the completions that pass the gate.
        completer: made them.
        store: has them.
        seed: of the run, chooses among them.
    """
    if not (len(test) and completer.completes):
        return
    rows = []
    chosen = torch.randperm(len(test), generator=torch_generator(seed, "report", "completions"))
    for position, index in enumerate(chosen[:_SHOWN].tolist()):
        sample = dataset.splits[TEST][index]
        target = (IMAGE, TEXT)[position % 2]
        made = load_completion(completer, sample, target, store, dataset.class_names)
        if made is None or sample.image is None:
            continue
        similarity = float(test.similarity[target][index])
        original = folder.completions / f"{position:02d}-original.png"
        row = {
            "key": sample.key,
            "class-name": dataset.class_names[sample.label],
            "source": SOURCE_OF[target],
            "original-image": _save_image(original, sample.image.load()),
            "original-text": sample.text,
            "generated-image": None,
            "generated-text": None,
            "similarity": similarity if math.isfinite(similarity) else None,
            "accepted": bool(accepted[target][index]),
        }
        if isinstance(made, str):
            row["generated-text"] = made
        else:
            generated = folder.completions / f"{position:02d}-generated.png"
            row["generated-image"] = _save_image(generated, made)
        rows.append(row)
    write_json(folder.completions_index, {"completions": rows})


def _save_image(path: Path, image: "Image") -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    write_atomic(path, buffer.getvalue())
    return path.name
