"""Names on the hub: from the cache without a call, fetched if allowed, a clear error if not."""

import sys

import huggingface_hub
import pytest
from huggingface_hub import constants

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.foundation.fingerprint import model_fingerprint
from fedmvp_flwr.foundation.folders.hub import is_hub_name, revision_of
from fedmvp_flwr.foundation.registry import parse_spec

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub cache in a temporary folder; any call to the hub fails the test."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    return tmp_path


@pytest.fixture
def online(monkeypatch):
    """What the hub's library is asked to fetch, by a function that a test hands over."""
    original, calls = huggingface_hub.snapshot_download, []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def fetch_by(function):
        def download(repository, **options):
            if options["local_files_only"]:
                return original(repository, **options)
            calls.append((repository, options))
            return str(function())

        monkeypatch.setattr("huggingface_hub.snapshot_download", download)
        return calls

    return fetch_by


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
    with pytest.raises(ModelError, match=rf"(?s){key}.*HF_HUB_OFFLINE.*hf download owner/absent"):
        parse_spec(role, spec)


def test_a_cached_folder_without_weights_counts_as_absent(hub):
    (cached_model(hub) / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors weights are needed"):
        parse_spec("image_encoder", "transformers:owner/name")


def test_open_clip_tags_are_looked_up_offline(hub):
    pytest.importorskip("open_clip")
    with pytest.raises(ModelError, match="laion/CLIP-ViT-B-32"):
        parse_spec("image_encoder", "open_clip:ViT-B-32:laion2b_s34b_b79k")
    with pytest.raises(ModelError, match="did you mean 'laion2b_s34b_b79k'"):
        parse_spec("image_encoder", "open_clip:ViT-B-32:laion2b_s34b_b79")
    with pytest.raises(ModelError, match="no model 'ViT-B-33'"):
        parse_spec("image_encoder", "open_clip:ViT-B-33:laion2b_s34b_b79k")


def test_online_an_absent_model_is_fetched_once(hub, online):
    calls = online(lambda: cached_model(hub))
    for _ in range(2):
        assert parse_spec("image_encoder", "transformers:owner/name").folder.name == COMMIT
    ((repository, options),) = calls
    assert (repository, options["revision"]) == ("owner/name", None)
    assert not any(pattern.endswith((".bin", ".py")) for pattern in options["allow_patterns"])


def test_online_what_the_cache_holds_in_part_is_fetched(hub, online):
    folder = cached_model(hub)
    (folder / "model.safetensors").unlink()
    calls = online(lambda: (folder / "model.safetensors").write_bytes(b"weights") and folder)
    assert parse_spec("image_encoder", "transformers:owner/name").folder == folder
    assert len(calls) == 1


def test_what_the_hub_says_is_passed_on(hub, online):
    def fail():
        raise ConnectionError("no route to the hub")

    online(fail)
    with pytest.raises(ModelError, match=r"cannot be fetched.*no route to the hub.*hf download"):
        parse_spec("captioner", "transformers:owner/absent")


def test_a_repository_without_safetensors_is_refused(hub, online):
    online(lambda: hub)
    with pytest.raises(ModelError, match=r"repository holds no such files.*hf download"):
        parse_spec("captioner", "transformers:owner/absent")


def test_without_the_hubs_library_its_names_mean_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = r"^image-encoder='transformers:owner/name': .*huggingface_hub.*pip install"
    with pytest.raises(ModelError, match=message):
        parse_spec("image_encoder", "transformers:owner/name")
