"""Miniature copies of the archives."""

import numpy as np
import pytest

BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross")


def write_captions(path, count=10):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"caption {i} of {path.stem}\n" for i in range(count)))


@pytest.fixture
def birds(tmp_path, picture):
    """Twelve birds of two species, in the layout of the archive."""
    root = tmp_path / "data" / "CUB_200_2011"
    tables = {name: [] for name in ("images", "image_class_labels", "train_test_split", "classes")}
    for i, name in enumerate(BIRDS, 1):
        tables["classes"].append(f"{i} {name}")
    for i in range(12):
        species = BIRDS[i % 2]
        name = f"{species}/bird_{i:04d}_{900 + i}"
        (root / "images" / species).mkdir(parents=True, exist_ok=True)
        picture(i).save(root / "images" / f"{name}.jpg")
        tables["images"].append(f"{i + 1} {name}.jpg")
        tables["image_class_labels"].append(f"{i + 1} {i % 2 + 1}")
        tables["train_test_split"].append(f"{i + 1} {int(i % 3 > 0)}")
        write_captions(root / "text_c10" / f"{name}.txt")
    for name, lines in tables.items():
        (root / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def blossoms(tmp_path, picture):
    """Twelve flowers of three species, in the layout of the archives."""
    from scipy.io import savemat

    root = tmp_path / "flowers"
    (root / "jpg").mkdir(parents=True)
    labels = [i % 3 + 1 for i in range(12)]
    for i, label in enumerate(labels, 1):
        picture(i).save(root / "jpg" / f"image_{i:05d}.jpg")
        write_captions(root / "text_c10" / f"class_{label:05d}" / f"image_{i:05d}.txt")
    savemat(root / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    savemat(
        root / "setid.mat",
        {
            "trnid": np.array([[1, 2, 3]]),
            "valid": np.array([[4, 5, 6]]),
            "tstid": np.arange(7, 13)[None],
        },
    )
    return root


@pytest.fixture(name="write_captions")
def write_captions_fixture():
    return write_captions
