"""Names on the hub: from the cache without a call, fetched if allowed, a clear error if not."""

import json

import pytest

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.folders.fingerprint import model_fingerprint
from fedmvp_flwr.foundation.folders.hub import is_hub_name, revision_of
from fedmvp_flwr.foundation.specs import parse_spec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache in a temporary folder; any call to the hub fails the test."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    return tmp_path


def cached_model(cache, name="owner/name", commit=COMMIT, marker="config.json"):
    root = cache / f"models--{name.replace('/', '--')}"
    folder = root / "snapshots" / commit
    folder.mkdir(parents=True)
    (root / "refs").mkdir(exist_ok=True)
    (root / "refs" / "main").write_text(commit)
    (folder / marker).write_text('{"model_type": "vit"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("owner/name", True),
        ("openai/clip-vit-base-patch32", True),
        ("timm/mobilenetv2_100.ra_in1k@v1", True),
        ("name", False),
        ("a/b/c", False),
        ("../name", False),
        ("owner/name@../../elsewhere", False),
        ("owner/name:x", False),
        ("", False),
    ],
)
def test_what_a_hub_name_looks_like(text, expected):
    assert is_hub_name(text) is expected


@pytest.mark.parametrize("name", ["owner/name", "owner/name@main", f"owner/name@{COMMIT}"])
def test_a_cached_model_needs_no_call(name, hub):
    folder = cached_model(hub)
    spec = parse_spec("image_encoder", f"transformers:{name}")
    assert spec.folder == folder
    assert revision_of(folder) == f"owner/name@{COMMIT}"


def test_a_hub_model_is_named_by_its_commit(hub):
    cached_model(hub)
    first = model_fingerprint(parse_spec("image_encoder", "transformers:owner/name"))
    other = COMMIT[::-1]
    cached_model(hub, commit=other)
    assert model_fingerprint(parse_spec("image_encoder", "transformers:owner/name")) != first
    pinned = parse_spec("image_encoder", f"transformers:owner/name@{COMMIT}")
    assert model_fingerprint(pinned) == first
    local = parse_spec("image_encoder", f"transformers:{pinned.folder}")
    assert model_fingerprint(local) == first


def fingerprint(text, role="image_encoder"):
    return model_fingerprint(parse_spec(role, text))


def test_a_hub_model_is_named_by_the_weights_file_too(hub):
    folder = cached_model(hub)
    (folder / "ema.safetensors").write_bytes(b"others")
    named = {fingerprint(f"timm:{folder}/{name}.safetensors") for name in ("model", "ema")}
    assert len(named) == 2
    (folder / "model.safetensors").rename(folder / "model.fp16.safetensors")
    half = fingerprint(f"timm:{folder}/model.fp16.safetensors")  # named, though never fetched
    assert half not in {*named, fingerprint(f"timm:{folder}")}
    (folder / "ema.safetensors").unlink()
    assert fingerprint(f"timm:{folder}") == half


def test_a_hub_model_is_named_by_the_files_that_are_there(hub):
    folder = cached_model(hub)
    first = fingerprint("transformers:owner/name")
    (folder / "model.safetensors").write_bytes(b"the commit tells what they hold")
    assert fingerprint("transformers:owner/name") == first
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    more = fingerprint("transformers:owner/name")
    assert more != first
    for name in ("onnx/config.json", "model.fp16.safetensors", "README.md", "pytorch_model.bin"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("what `hf download` brings, and a run's own fetch does not")
    assert fingerprint("transformers:owner/name") == more


def test_a_pipeline_of_the_hub_is_named_by_its_settings_too(hub):
    folder = cached_model(hub, marker="model_index.json")
    (folder / "unet").mkdir()
    (folder / "model.safetensors").rename(folder / "unet" / "model.safetensors")
    first = fingerprint("diffusers:owner/name", "image_generator")
    (folder / "whole.safetensors").write_bytes(b"a second copy")
    assert fingerprint("diffusers:owner/name", "image_generator") == first
    (folder / "fedmvp.json").write_text('{"call": {}}')
    assert fingerprint("diffusers:owner/name", "image_generator") != first


def test_weights_whose_link_leads_nowhere_are_absent(hub):
    weights = cached_model(hub) / "model.safetensors"
    weights.unlink()
    weights.symlink_to("../../blobs/gone")
    with pytest.raises(ModelError, match="safetensors weights are needed"):
        parse_spec("image_encoder", "transformers:owner/name")


def sentence_encoder(cache, kind="bert"):
    folder = cached_model(cache)
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    pooling = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps([pooling]))
    return folder


def test_offline_an_absent_pooling_is_named(hub):
    folder = sentence_encoder(hub)
    with pytest.raises(
        ModelError,
        match=r"text-encoder: 'owner/name' lacks 1_Pooling/config\.json in the hub's cache.*"
        r"HF_HUB_OFFLINE.*hf download owner/name",
    ):
        parse_spec("text_encoder", "transformers:owner/name")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    assert parse_spec("text_encoder", "transformers:owner/name").folder == folder


def test_only_a_text_model_needs_its_pooling(hub):
    folder = sentence_encoder(hub)
    assert parse_spec("image_encoder", "transformers:owner/name").folder == folder
    (folder / "config.json").write_text('{"model_type": "clip"}')
    assert parse_spec("text_encoder", "transformers:owner/name").folder == folder


def test_online_an_absent_pooling_is_fetched_once(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    folder, calls = sentence_encoder(hub), []

    def download(repository, **options):
        calls.append(options["allow_patterns"])
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text("{}")
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    for _ in range(2):
        assert parse_spec("text_encoder", "transformers:owner/name").folder == folder
    assert len(calls) == 1


def test_a_folder_of_one_s_own_has_no_revision(tmp_path):
    assert revision_of(tmp_path / "model") is None


@pytest.mark.parametrize(
    ("role", "spec"),
    [
        ("image_encoder", "transformers:owner/absent"),
        ("text_encoder", "transformers:owner/absent@v2"),
        ("image_encoder", "timm:owner/absent"),
        ("image_encoder", "open_clip:owner/absent"),
        ("captioner", "transformers:owner/absent"),
        ("image_generator", "diffusers:owner/absent"),
    ],
)
def test_offline_nothing_is_called_and_the_error_says_what_to_do(role, spec, hub):
    key = role.replace("_", "-")
    with pytest.raises(ModelError, match=rf"{key}.*HF_HUB_OFFLINE.*hf download owner/absent"):
        parse_spec(role, spec)


def test_a_cached_folder_without_weights_counts_as_absent(hub):
    (cached_model(hub) / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors weights are needed"):
        parse_spec("image_encoder", "transformers:owner/name")


def test_a_cached_model_without_one_of_its_shards_counts_as_absent(hub):
    folder = cached_model(hub)
    shards = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))
    with pytest.raises(ModelError, match="owner/name"):
        parse_spec("image_encoder", "transformers:owner/name")
    (folder / "model-2.safetensors").write_bytes(b"more")
    assert parse_spec("image_encoder", "transformers:owner/name").folder == folder


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_in_the_cache_is_named(text, hub):
    folder = cached_model(hub)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(
        ModelError,
        match=r"text-encoder: 'owner/name'.*model\.safetensors\.index\.json: expected.*"
        r"hf download --force-download owner/name",
    ):
        parse_spec("text_encoder", "transformers:owner/name")


def test_open_clip_tags_are_looked_up_offline(hub):
    pytest.importorskip("open_clip")
    with pytest.raises(ModelError, match="laion/CLIP-ViT-B-32"):
        parse_spec("image_encoder", "open_clip:ViT-B-32:laion2b_s34b_b79k")
    with pytest.raises(ModelError, match="did you mean 'laion2b_s34b_b79k'"):
        parse_spec("image_encoder", "open_clip:ViT-B-32:laion2b_s34b_b79")
    with pytest.raises(ModelError, match="no model 'ViT-B-33'"):
        parse_spec("image_encoder", "open_clip:ViT-B-33:laion2b_s34b_b79k")


def test_online_an_absent_model_is_fetched_once(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    calls = []

    def download(repository, **options):
        calls.append((repository, options))
        return str(cached_model(hub))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    for _ in range(2):
        assert parse_spec("image_encoder", "transformers:owner/name").folder.name == COMMIT
    ((repository, options),) = calls
    assert (repository, options["revision"]) == ("owner/name", None)
    assert not any(pattern.endswith((".bin", ".py")) for pattern in options["allow_patterns"])


def test_what_the_hub_says_is_passed_on(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def fail(*_, **__):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=r"cannot be fetched.*no route to the hub.*hf download"):
        parse_spec("captioner", "transformers:owner/absent")
