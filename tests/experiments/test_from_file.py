import json
from pathlib import Path

import pytest
from experiments.from_file import PROBE_FILE, fill, main, read_experiment, save_public_probe

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "experiments"


def test_fashion30_names_settings_that_there_are(tmp_path):
    path = FOLDER / "fashion30.toml"
    tables = read_experiment(path)
    names = ("data", "mobilenet", "minilm", "pretrained")
    paths = {name: str(tmp_path) for name in names}
    for own in tables["methods"].values():
        values = fill(tables["settings"] | own, paths)
        config = RunConfig.from_run_config(values)
        assert str(tmp_path) in config.data.dataset
    text = path.read_text()
    for head in ("Purpose:", "Command:", "Time:", "Metric:"):
        assert head in text


def test_paths_come_from_the_command_line_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("FEDMVP_DATA", str(tmp_path))
    values = {"dataset": "folder:{data}/a", "captioner": "x:{own-model}", "n": 3, "p": PROBE_FILE}
    filled = fill(values, {"own-model": str(tmp_path / "a")})
    assert filled == {
        "dataset": f"folder:{tmp_path}/a",
        "captioner": f"x:{tmp_path}/a",
        "n": 3,
        "p": PROBE_FILE,
    }


def test_all_missing_paths_are_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FEDMVP_DATA", raising=False)
    with pytest.raises(ConfigError, match=r"data \(not given\), model \(.*nowhere\).*FEDMVP_DATA"):
        fill({"a": "{data}", "b": "{model}"}, {"model": str(tmp_path / "nowhere")})


def test_another_table_is_refused(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("[setting]\na = 1\n[methods.b]\n")
    with pytest.raises(ConfigError, match="setting"):
        read_experiment(path)


def test_the_probe_is_made_of_labelled_public_pairs(tmp_path):
    from fedmvp_flwr.server.probe import load_probe

    settings = {"dataset": "flora", "train-samples": 120, "cache-dir": str(tmp_path / "cache")}
    path = save_public_probe(settings, {"split": "test", "per-class": 2}, tmp_path)
    probe = load_probe(path)
    counts = probe.batch.labels.bincount()
    assert counts.max() == 2
    assert all(m.present.all() for m in probe.batch.modalities.values())
    assert not any(m.generated.any() for m in probe.batch.modalities.values())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"split": "publik", "per-class": 2}, r"split = 'publik'.*flora has the splits .*test"),
        ({"split": "test"}, r"\[probe\] lacks \['per-class'\]"),
    ],
)
def test_a_wrong_probe_table_says_what_there_is(table, message, tmp_path):
    settings = {"dataset": "flora", "train-samples": 20, "cache-dir": str(tmp_path)}
    with pytest.raises(ConfigError, match=message):
        save_public_probe(settings, table, tmp_path)


def test_a_probe_file_to_be_made_needs_the_table(tmp_path, monkeypatch):
    path = tmp_path / "x.toml"
    path.write_text('[settings]\n[methods.a]\nprobe-source = "file:{probe}"\n')
    monkeypatch.setattr("sys.argv", ["from_file", str(path), "--out", str(tmp_path / "out")])
    with pytest.raises(ConfigError, match=r"needs a table \[probe\]"):
        main()


MINIATURE = """
[settings]
dataset = "folder:{data}"
partition = "iid"
missing-ratio = 0.6
num-server-rounds = 1
fraction-train = 0.3
local-epochs = 1
evaluate-every = 1
model-width = 16
model-heads = 2
image-encoder = "timm:test_efficientnet:{images}"
text-encoder = "transformers:{texts}"
image-grid = 1
text-max-tokens = 8
device = "cpu"

[probe]
split = "public"
per-class = 2

[methods.drop-incomplete]
method = "fedavg"
completion = "none"
incomplete = "drop"

[methods.mask]
method = "fedavg"
completion = "none"

[methods.fedmvp-retrieval]
method = "fedmvp"
completion = "retrieval"
retrieval-source = "public"
probe-source = "file:{probe}"
"""


@pytest.fixture
def miniature(tmp_path, tiny_models_module):
    """An experiment file, and the paths that it wants: a small folder and tiny real models."""
    from PIL import Image

    data = tmp_path / "data"
    data.mkdir()
    rows = []
    for split, count in (("train", 60), ("test", 12), ("val", 6), ("public", 12)):
        for i in range(count):
            name = f"{split}-{i}.png"
            colour = ("red", "blue", "yellow")[i % 3]
            Image.new("RGB", (16, 16), colour).save(data / name)
            text = f"a {colour} flower with {'five' if i % 2 else 'three'} petals"
            rows.append({"file_name": name, "text": text, "label": colour, "split": split})
    (data / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "miniature.toml"
    file.write_text(MINIATURE)
    return file, {
        "data": data,
        "images": tiny_models_module.build_timm(tmp_path / "images"),
        "texts": tiny_models_module.build_bert(tmp_path / "texts"),
    }


@pytest.mark.slow
def test_a_whole_experiment(light_runs, miniature, tmp_path, monkeypatch, capsys):
    file, paths = miniature
    out = tmp_path / "out"
    arguments = [f"--path={name}={path}" for name, path in paths.items()]
    arguments += ["--out", str(out), "--cache", str(tmp_path / "cache"), "--seeds", "0"]
    arguments += ["--set", "learning-rate=0.01"]
    monkeypatch.setattr("sys.argv", ["from_file", str(file), *arguments])
    main()
    table = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if "|" in line]
    names = [row[0].strip() for row in table]
    methods = ["drop-incomplete", "mask", "fedmvp-retrieval"]
    assert names == methods
    assert [len(row) - 1 for row in table] == [3, 3, 5]
    results = {
        name: json.loads((out / name / "seed-0" / "result.json").read_text()) for name in names
    }
    assert len({result["hashes"]["masks"] for result in results.values()}) == 1
    assert results["fedmvp-retrieval"]["hashes"]["probe"]
    assert {result["clients"] for result in results.values()} == {10}
    for result in results.values():
        assert result["config"]["learning-rate"] == 0.01
        assert all(0 <= value <= 1 for value in result["accuracy"].values())

    monkeypatch.setattr("sys.argv", ["from_file", str(file), *arguments, "--methods", "nothing"])
    with pytest.raises(ConfigError, match="no method"):
        main()

    def again(*further):
        monkeypatch.setattr("sys.argv", ["from_file", str(file), *arguments, *further])
        main()
        return [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()]

    probe = (out / "probe.safetensors").read_bytes()
    with pytest.raises(ConfigError, match=r"test-split = 'test', now 'val'.*--out"):
        again("--test-split", "val")
    with pytest.raises(ConfigError, match=r"image-grid = 1, now 2.*--out"):
        again("--set", "learning-rate=0.01", "image-grid=2")  # the probe would be another one
    assert (out / "probe.safetensors").read_bytes() == probe
    file.write_text(MINIATURE.replace("per-class = 2", "per-class = 3"))
    with pytest.raises(ConfigError, match=r"fedmvp-retrieval.*probe file.*--out"):
        again()
    assert again("--methods", "mask") == [table[1]]
    file.write_text(MINIATURE)
    assert again() == table
    assert (out / "probe.safetensors").read_bytes() == probe


def test_figures_of_another_split_are_not_taken_for_those_of_the_test(
    miniature, tmp_path, monkeypatch, capsys
):
    file, paths = miniature
    arguments = [f"--path={name}={path}" for name, path in paths.items()]
    arguments += ["--out", str(tmp_path / "out"), "--seeds", "0", "--methods", "mask"]
    config = RunConfig.of(
        method="fedavg", completion="none", test_split="val", dataset=f"folder:{paths['data']}"
    ).to_run_config()
    folder = tmp_path / "out" / "mask" / "seed-0"
    folder.mkdir(parents=True)
    settings = fill(read_experiment(file)["settings"], {k: str(v) for k, v in paths.items()})
    result = {"status": "completed", "config": config | settings, "accuracy": {"complete": 0.5}}
    (folder / "result.json").write_text(json.dumps(result))
    monkeypatch.setattr("sys.argv", ["from_file", str(file), *arguments, "--test-split", "val"])
    main()
    assert capsys.readouterr().out == "| mask | 50.0 ± 0.0 |\n"
    monkeypatch.setattr("sys.argv", ["from_file", str(file), *arguments])
    with pytest.raises(ConfigError, match=r"test-split = 'val', now 'test'.*--out"):
        main()
