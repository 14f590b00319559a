"""Any JSON value in any field is a finding or a DataError, never another exception."""

import copy
import io
import json
import random

import pytest

from fedmvp_flwr.base.errors import FedMVPError
from fedmvp_flwr.data.sources.registry import load_dataset

CASES = 150
STRINGS = ["", " ", "0", "1", "-1", "\0", "a\0b", "../x", "/etc/passwd", "\ud800", "x" * 5000]
STRINGS += ["\u202e", "[", '["a"]', '["', "nan", "é", "a\nb", "1.0", "\udcff.jpg", "."]
NUMBERS = [0, 1, 2, -1, 7, 10**30, -(2**63), 0.5, 1.0, 1e308, float("nan"), float("inf")]


def any_value(chance, depth=0):
    """A random JSON value."""
    kind = chance.randrange(8 if depth < 3 else 5)
    if kind < 2:
        return chance.choice([None, True, False])
    if kind < 5:
        return chance.choice(STRINGS if kind == 4 else NUMBERS)
    inner = [any_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    return inner if kind < 7 else {chance.choice(STRINGS): value for value in inner}


def fields_of(value, path=()):
    """Paths of everything in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from fields_of(inner, (*path, key))


def spoilt(value, chance):
    """A copy with one or two fields replaced by random values."""
    result = copy.deepcopy(value)
    for _ in range(chance.choice([1, 1, 2])):
        *path, last = chance.choice(list(fields_of(result)))
        place = result
        for key in path:
            place = place[key]
        place[last] = any_value(chance)
    return result


def load(config):
    """Load it, or see it refused; what it says can be written down."""
    try:
        said = "\n".join(load_dataset(*config).findings.lines())
    except FedMVPError as error:
        said = str(error)
    said.encode()
    return said


@pytest.fixture(params=["refuse", "skip"])
def load_any(request, settings):
    def load_one(dataset, **keys):
        return load(settings(dataset, bad_samples=request.param, test_fraction=0.5, **keys))

    return load_one


def test_coco(tmp_path, picture, load_any):
    root = tmp_path / "coco"
    for name in ("annotations", "train"):
        (root / name).mkdir(parents=True)
    for i in range(4):
        picture(i).save(root / "train" / f"{i}.jpg")
    captions = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(4)],
        "annotations": [{"image_id": i, "caption": f"text {i}"} for i in range(4)],
    }
    objects = {
        "categories": [{"id": i, "supercategory": f"kind {i}"} for i in range(2)],
        "annotations": [{"image_id": i, "category_id": i % 2, "area": 3.5} for i in range(4)],
    }
    chance, said = random.Random(1), set()
    for case in range(CASES):
        parts = {"captions": captions, "instances": objects}
        name = ("captions", "instances")[case % 2]
        parts[name] = spoilt(parts[name], chance)
        for kind, content in parts.items():
            (root / "annotations" / f"{kind}_train.json").write_text(json.dumps(content))
        said.add(load_any(f"coco:{root}", test_split=""))
    assert len(said) > CASES / 10


def as_line(value):
    return value if isinstance(value, str) else json.dumps(value)


def test_cub(tmp_path, picture, load_any):
    root = tmp_path / "CUB_200_2011"
    (root / "images" / "1.A").mkdir(parents=True)
    (root / "text_c10" / "1.A").mkdir(parents=True)
    for i in range(4):
        picture(i).save(root / "images" / "1.A" / f"{i}.jpg")
        (root / "text_c10" / "1.A" / f"{i}.txt").write_text("one\ntwo\n")
    tables = {
        "images": [[str(i), f"1.A/{i}.jpg"] for i in range(4)],
        "image_class_labels": [[str(i), str(i % 2 + 1)] for i in range(4)],
        "train_test_split": [[str(i), str(int(i > 1))] for i in range(4)],
        "classes": [["1", "1.A"], ["2", "2.B"]],
    }
    chance, said = random.Random(2), set()
    for _ in range(CASES):
        for name, rows in spoilt(tables, chance).items():
            rows = rows if isinstance(rows, list) else [rows]
            lines = [
                " ".join(map(as_line, row)) if isinstance(row, list) else as_line(row)
                for row in rows
            ]
            content = "\n".join(lines).encode("utf-8", "surrogatepass")  # no valid UTF-8
            (root / f"{name}.txt").write_bytes(content)
        said.add(load_any(f"cub:{root}"))
    assert len(said) > CASES / 10


def test_hf(monkeypatch, tmp_path, picture, load_any):
    datasets = pytest.importorskip("datasets", reason="comes with the extra 'data'")
    pa = pytest.importorskip("pyarrow")
    buffer = io.BytesIO()
    picture().save(buffer, "PNG")
    row = {"bytes": buffer.getvalue(), "path": None, "text": "text", "label": 0, "id": "x"}
    types = [pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.list_(pa.string())]
    names = datasets.ClassLabel(names=["cat", "dog"])
    chance, said, made = random.Random(3), set(), 0
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "state.json").write_text("{}")
    while made < CASES // 2:
        rows = [dict(row, label=i % 2, id=f"x{i}") for i in range(4)]
        field = chance.choice(list(row))
        values = [item[field] for item in rows]
        values[chance.randrange(4)] = any_value(chance)
        try:
            if field == "bytes":
                values = [v.encode() if isinstance(v, str) else v for v in values]
            columns = {name: [item[name] for item in rows] for name in row} | {field: values}
            image = pa.StructArray.from_arrays(
                [
                    pa.array(columns.pop("bytes"), pa.binary()),
                    pa.array(columns.pop("path"), pa.string()),
                ],
                names=["bytes", "path"],
            )
            kinds = {"label": pa.int64(), "text": pa.string(), "id": pa.string()}
            if field in ("text", "id") or (field == "label" and chance.random() < 0.5):
                kinds[field] = chance.choice(types)
            arrays = {name: pa.array(columns[name], kinds[name]) for name in kinds}
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue  # no table can hold it
        made += 1
        table = pa.table({"image": image, **arrays})
        features = datasets.Features.from_arrow_schema(table.schema)
        features["image"] = datasets.Image()
        if kinds["label"] == pa.int64():
            features["label"] = names
        loaded = datasets.Dataset(table, info=datasets.DatasetInfo(features=features))
        monkeypatch.setattr(datasets, "load_from_disk", lambda path, loaded=loaded: loaded)
        said.add(load_any(f"hf:{tmp_path}/saved", id_column="id"))
    assert len(said) > CASES / 20
