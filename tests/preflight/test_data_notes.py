"""The preflight on a user's own data: what is bad, what is peculiar, what clients would own."""

import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.preflight.checks import preflight

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")


@pytest.fixture
def shop(tmp_path):
    """Build a folder of photos; `change` edits the rows first."""

    def build(change=lambda rows: None, count=40):
        root = tmp_path / "shop"
        root.mkdir(exist_ok=True)
        rows = []
        for i in range(count):
            pixels = np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / f"{i}.png")
            split = "test" if i % 4 == 3 else "train"
            row = {"file_name": f"{i}.png", "text": f"t {i}", "label": "xy"[i % 2], "split": split}
            rows.append(row | {"brand": f"brand {i % 3}"})
        change(rows)
        (root / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return root

    return build


def check(root, tmp_path, clients=3, **settings):
    from fedmvp_flwr.data.sources.registry import load_dataset

    load_dataset.cache_clear()
    values = {"dataset": f"folder:{root}", "cache_dir": str(tmp_path / "cache"), "partition": "iid"}
    return preflight(RunConfig.of(**{**values, **settings}), clients)


def test_sound_data(shop, tmp_path):
    report = check(shop(), tmp_path)
    assert report.problems == []
    assert sum(row["samples"] for row in report.rows) == 30
    assert sum(row["held out"] for row in report.rows) == 10
    assert report.notes[0] == "2 classes; samples: train 30, test 10."
    assert report.notes[1] == "Test set of the server: 0 without image, 0 without text."


def test_every_missing_file_is_listed_together_with_other_problems(shop, tmp_path):
    def change(rows):
        for i in range(25):
            rows[i]["file_name"] = f"gone-{i}.png"
        rows[30]["label"] = ""

    report = check(shop(change), tmp_path, device="cuda:99")
    text = "\n".join(report.problems)
    assert "cuda:99" in text
    assert "26 bad sample(s)" in text
    assert "25 x missing file: metadata.jsonl:1: 'gone-0.png'" in text
    assert "gone-19.png" in text
    assert "and 5 more" in text
    assert "1 x sample without label: metadata.jsonl:31" in text
    (path,) = (tmp_path / "cache" / "bad-samples").iterdir()
    assert str(path) in text
    listed = json.loads(path.read_text())["bad"]
    assert len(listed["missing file"]) == 25
    assert listed["missing file"][24] == "metadata.jsonl:25: 'gone-24.png'"


def test_what_is_skipped_is_still_counted_and_named(shop, tmp_path):
    def change(rows):
        rows[0]["file_name"] = "gone.png"
        rows[1]["text"] = None

    report = check(shop(change), tmp_path, bad_samples="skip")
    assert report.problems == []
    text = "\n".join(report.notes)
    assert "1 x no text (a hole)" in text
    assert "1 bad sample(s) left out" in text
    assert "1 x missing file: metadata.jsonl:1: 'gone.png'" in text


def test_clients_without_a_pair_are_named_with_what_follows(shop, tmp_path):
    root = shop()
    settings = {"missing_pattern": "owner", "missing_ratio": 0.34}
    report = check(root, tmp_path, **settings)
    (lacking,) = [row["client"] for row in report.rows if not row["complete"]]
    expected = f"Clients [{lacking}] have no complete pair: the threshold of their gate is the"
    assert any(note.startswith(expected) for note in report.notes)
    dropped = check(root, tmp_path, **settings, completion="none", incomplete="drop")
    assert any(f"Clients [{lacking}] have nothing to train on" in note for note in dropped.notes)
    none = check(root, tmp_path, **{**settings, "missing_ratio": 1.0})
    assert any("-1: all are accepted" in note for note in none.notes)


def test_holes_of_the_test_set_are_counted(shop, tmp_path):
    report = check(shop(), tmp_path, test_missing_ratio=0.4)
    assert report.notes[1] == "Test set of the server: 2 without image, 2 without text."


def test_splits_that_nobody_uses_are_named(shop, tmp_path):
    def change(rows):
        for row in rows[:6]:
            row["split"] = "val"
        for row in rows[8:10]:
            row["split"] = "public"

    def unused(**settings):
        notes = check(root, tmp_path, **settings).notes
        return [note.partition(". ")[0] for note in notes if "nobody uses" in note]

    root = shop(change)
    said = "In splits that nobody uses in this run: "
    assert unused() == [f"{said}public (2 samples), val (6 samples)"]
    assert unused(selection="server") == [f"{said}public (2 samples)"]
    public = {"completion": "retrieval", "retrieval_source": "public"}
    assert unused(selection="clients", **public) == []
    assert unused(train_split="train+val+public") == []
    (lost, _) = unused(test_split="val")
    assert lost == "Found: 9 x in a split that nobody uses: 'test'"


def test_a_server_without_samples(tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("a\nb\n")
    config = RunConfig.of(
        dataset="nodes",
        class_names_file=str(names),
        cache_dir=str(tmp_path / "cache"),
        test_missing_ratio=0.5,
    )
    report = preflight(config, 0)
    assert report.problems == []
    assert report.notes[:2] == [
        "2 classes; samples: train 0, test 0.",
        "The server has no test set.",
    ]


def test_classes_that_are_only_tested(shop, tmp_path):
    def change(rows):
        rows[3]["label"] = "z"

    notes = check(shop(change), tmp_path).notes
    assert "1 classes are tested but nobody trains on them: z." in notes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partition": "column:brand"}, "names 3 owners, too few for 4 clients"),
        ({"partition": "column:site"}, r"no column 'site' (partition)"),
        ({"partition": "file:/nowhere.csv"}, "partition='file:/nowhere.csv' cannot be read"),
        ({"missing_pattern": "file:/nowhere.csv"}, "missing-pattern='file:/nowhere.csv' cannot"),
        ({"test_missing_pattern": "file:/nowhere.csv"}, "'file:/nowhere.csv' cannot be read"),
        ({"text_column": "report"}, "no column 'report' (text-column)"),
        ({"test_split": "val"}, "has no split ['val']"),
        ({"class_names_file": "/nowhere.txt"}, "class-names-file='/nowhere.txt' cannot be read"),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_wrong_settings_are_problems(shop, tmp_path, settings, message):
    problems = check(shop(), tmp_path, clients=4, **settings).problems
    assert len(problems) == 1
    assert message in problems[0]


def test_flora_has_no_owners(tmp_path):
    config = RunConfig.of(
        cache_dir=str(tmp_path), partition="column:brand", train_samples=30, test_samples=5
    )
    (problem,) = preflight(config, 3).problems
    assert "'flora' has no columns" in problem


def spoil(root, rows):
    """Put one of each bad thing into a folder of pictures; returns what the preflight must say."""
    picture = Image.open(root / rows[0]["file_name"]).convert("RGB")
    outside = root.parent / "outside.png"
    picture.save(outside)
    (root / "link.png").symlink_to(outside)
    whole = (root / rows[0]["file_name"]).read_bytes()
    (root / "half.png").write_bytes(whole[: len(whole) // 2])
    header = bytearray(whole)
    header[16:24] = struct.pack(">II", 20_000, 20_000)  # width and height of the PNG
    header[29:33] = struct.pack(">I", zlib.crc32(bytes(header[12:29])))
    (root / "bomb.png").write_bytes(bytes(header))
    changes = [
        ({"file_name": "bomb.png"}, "image with too many pixels"),
        ({"file_name": "half.png"}, "image that cannot be decoded"),
        ({"file_name": "../outside.png"}, "path out of the folder"),
        ({"file_name": "link.png"}, "path out of the folder"),
        ({"text": "x" * 100_001}, "text that is too long"),
        ({"text": "\udcff"}, "text that is no valid Unicode"),
        ({"file_name": None, "text": "  "}, "sample without image and text"),
        ({"label": "a class that the server does not know"}, "unknown label"),
        ({"file_name": rows[20]["file_name"]}, "duplicate id"),
    ]
    for row, (change, _) in enumerate(changes):
        rows[21 + row] |= change
    return [(kind, f"metadata.jsonl:{22 + row}") for row, (_, kind) in enumerate(changes)]


def peculiar(root, rows):
    """Put one of each harmless thing into a folder; returns what the preflight must say."""
    picture = Image.open(root / rows[0]["file_name"]).convert("RGB")
    rotated = Image.Exif()
    rotated[0x0112] = 6
    Image.fromarray(np.arange(144, dtype=np.uint16).reshape(12, 12) * 400).save(root / "wide.png")
    picture.convert("CMYK").save(root / "print.jpg")
    picture.convert("RGBA").save(root / "clear.png")
    picture.save(root / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    picture.save(root / "turned.jpg", exif=rotated)
    names = ["wide.png", "print.jpg", "clear.png", "moving.gif", "turned.jpg"]
    for row, name in enumerate(names):
        rows[row]["file_name"] = name
    rows[5]["text"] = " "
    rows[6]["text"] = "x" * 100_000
    rows[7]["text"] = "\u202e🌺 花 a\x00b"
    kinds = ["RGB from I;16", "RGB from CMYK", "RGB from RGBA", "RGB from P"]
    notes = [f"1 x converted to {kind}" for kind in kinds]
    return [*notes, "1 x animated", "1 x rotated by EXIF", "1 x no text (a hole)"]


@pytest.mark.parametrize("policy", ["refuse", "skip"])
def test_each_bad_or_peculiar_sample_is_counted_and_named(shop, tmp_path, policy):
    said = {}

    def change(rows):
        root = tmp_path / "shop"
        said["bad"], said["notes"] = spoil(root, rows), peculiar(root, rows)

    names = tmp_path / "classes.txt"
    root = shop(change)
    rows = [json.loads(line) for line in (root / "metadata.jsonl").read_text().splitlines()]
    names.write_text("\n".join(sorted({r["label"] for r in rows if len(r["label"]) < 9})))
    report = check(root, tmp_path, bad_samples=policy, class_names_file=str(names))
    text = "\n".join(report.problems if policy == "refuse" else report.notes)
    assert (not report.problems) is (policy == "skip")
    assert "9 bad sample(s)" in text
    for kind, where in said["bad"]:
        (line,) = [line for line in text.splitlines() if f" x {kind}:" in line]
        assert where in line
    if policy == "skip":
        for note in said["notes"]:
            assert note in text
