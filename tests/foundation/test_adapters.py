import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

TEXTS = ["a red flower", "", "a red flower with five round petals , the centre is blue .", "花 🌸"]


@pytest.fixture(scope="module")
def config(clip_folder, blip_folder, pixart_folder):
    return RunConfig.of(
        image_encoder=f"open_clip:local:{clip_folder}",
        text_encoder=f"open_clip:local:{clip_folder}",
        captioner=f"transformers:local:{blip_folder}",
        image_generator=f"diffusers:local:{pixart_folder}",
        text_max_tokens=10,
    )


@pytest.fixture(scope="module")
def models(config):
    return FoundationModels(config)


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    sizes = [(20, 24), (16, 16), (40, 16), (1, 1)]
    arrays = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return [Image.fromarray(array) for array in arrays]


def levels(image):
    return np.asarray(image, dtype=int)


def test_image_features_have_the_promised_shapes(models, images):
    encoder = models.image_encoder
    features = encoder.encode(images)
    assert len(features) == len(images)
    for item in features:
        assert item.tokens.shape == (9, encoder.token_width)
        assert item.pooled.shape == (encoder.pooled_width,)
        assert item.tokens.dtype == item.pooled.dtype == torch.float16
        assert item.pooled.float().norm() == pytest.approx(1, abs=2e-3)


def test_image_tokens_are_the_pooled_map_of_the_last_layer(models, images):
    clip = models.image_encoder._clip
    pixels = torch.stack([clip.preprocess(images[1])])
    visual = clip.model.visual
    with torch.inference_mode():
        last = visual.ln_post(visual.transformer(visual._embeds(pixels)))[:, 1:]
        grid = last.reshape(4, 4, -1)
        pooled = clip.model.encode_image(pixels, normalize=True)[0]
    corner = grid[:2, :2].mean(dim=(0, 1))  # adaptive pooling 4 -> 3: rows 0..1, columns 0..1
    feature = models.image_encoder.encode([images[1]])[0]
    assert torch.allclose(feature.tokens[0].float(), corner, atol=2e-3)
    assert torch.allclose(feature.pooled.float(), pooled, atol=2e-3)


def test_grey_and_transparent_images_are_taken_as_rgb(models, images):
    grey = images[0].convert("L")
    as_rgb, as_grey = models.image_encoder.encode([grey.convert("RGB"), grey])
    assert torch.equal(as_rgb.pooled, as_grey.pooled)
    assert models.captioner.caption([images[0].convert("RGBA")], "a picture of")


def test_text_tokens_have_their_real_length(models):
    features = models.text_encoder.encode(TEXTS)
    assert [len(item.tokens) for item in features] == [5, 2, 10, 4]  # [CLS] and [SEP] included
    for item in features:
        assert item.tokens.shape[1] == models.text_encoder.token_width
        assert item.pooled.shape == (models.text_encoder.pooled_width,)
        assert item.tokens.dtype == torch.float16


def test_text_pooled_is_the_joint_space_embedding(models):
    clip = models.text_encoder._clip
    with torch.inference_mode():
        oracle = clip.model.encode_text(clip.tokenizer(TEXTS), normalize=True)
    mine = torch.stack([item.pooled for item in models.text_encoder.encode(TEXTS)])
    assert torch.allclose(mine.float(), oracle, atol=2e-3)


@pytest.mark.parametrize("role", ["image_encoder", "text_encoder"])
def test_encoders_treat_items_alike_alone_and_in_a_batch(role, models, images):
    encoder = getattr(models, role)
    items = images if role == "image_encoder" else TEXTS
    for item, feature in zip(items, encoder.encode(items), strict=True):
        alone = encoder.encode([item])[0]
        assert torch.allclose(alone.tokens.float(), feature.tokens.float(), atol=4e-3)
        assert torch.allclose(alone.pooled.float(), feature.pooled.float(), atol=2e-3)


def test_a_grid_beyond_the_model_is_refused(config):
    models = FoundationModels(config.changed(image_grid=5))
    with pytest.raises(ModelError, match="image-grid=5"):
        models.image_encoder.encode([Image.new("RGB", (16, 16))])


def test_a_text_tower_of_its_own_class_works_as_well(config, tiny, tmp_path):
    folder = tiny.build_open_clip(tmp_path / "custom", custom_text=True)
    spec = f"open_clip:local:{folder}"
    models = FoundationModels(config.changed(text_encoder=spec))
    assert [len(item.tokens) for item in models.text_encoder.encode(TEXTS)] == [5, 2, 10, 4]
    assert not models.comparable


def test_captions_are_the_continuation_alone(models, images):
    captioner = models.captioner
    texts = captioner.caption(images, "a picture of")
    assert len(texts) == len(images)
    assert all(text == text.strip() and "[" not in text for text in texts)
    ids = captioner._processor.tokenizer("a picture of", return_tensors="pt")["input_ids"]
    pixels = captioner._processor.image_processor(images=[images[0]], return_tensors="pt")
    whole = captioner._model.generate(
        pixel_values=pixels["pixel_values"], input_ids=ids, max_new_tokens=20, do_sample=False
    )
    decoded = captioner._processor.tokenizer.decode(whole[0], skip_special_tokens=True)
    assert decoded.removeprefix("a picture of").strip().startswith(texts[0][:20])


def test_several_prompts_give_what_each_gives_alone(models, images):
    prompts = ["a picture of", "question: what colour are the petals? answer:"]
    together = models.captioner.caption_each(images, prompts)
    assert together == [models.captioner.caption(images, prompt) for prompt in prompts]
    alone = [models.captioner.caption([image], prompts[0])[0] for image in images]
    assert together[0] == alone


def test_a_prompt_as_long_as_the_model_s_memory_still_answers(models, images):
    assert len(models.captioner.caption(images[:1], "a " * 22)) == 1


@pytest.mark.parametrize("kind", ["pixart", "stable-diffusion"])
def test_an_image_depends_on_its_prompt_and_seed_alone(
    kind, config, stable_diffusion_folder, models
):
    generator = models.image_generator
    if kind == "stable-diffusion":
        update = {
            "image_generator": f"diffusers:local:{stable_diffusion_folder}",
            "generator_steps": 2,
            "generator_guidance": 2.0,
        }
        generator = FoundationModels(config.changed(**update)).image_generator
    prompts = ["a red flower", "the blue flower", "a red flower", "花"]
    images = generator.generate(prompts, [1, 2, 3, 2**63 - 1])
    alone = generator.generate(prompts[1:2], [2])[0]
    assert {(image.mode, image.size) for image in images} == {("RGB", (16, 16))}
    assert np.abs(levels(images[1]) - levels(alone)).max() <= 1
    assert np.abs(levels(images[0]) - levels(images[2])).max() > 1  # another seed


def test_generator_settings_override_those_of_the_folder(config, pixart_folder):
    assert FoundationModels(config).image_generator._call == {
        "use_resolution_binning": False,
        "clean_caption": False,
        "max_sequence_length": 12,
        "num_inference_steps": 2,
        "guidance_scale": 1.0,
    }
    update = {"generator_steps": 3, "generator_guidance": 0.0}
    call = FoundationModels(config.changed(**update)).image_generator._call
    assert (call["num_inference_steps"], call["guidance_scale"]) == (3, 0.0)


def test_size_and_type_of_the_images_are_settings(config, stable_diffusion_folder):
    update = {
        "image_generator": f"diffusers:{stable_diffusion_folder}",
        "generator_steps": 1,
        "generator_guidance": 1.0,
        "generator_size": 24,
        "generator_dtype": "bf16",
    }
    generator = FoundationModels(config.changed(**update)).image_generator
    assert (
        generator._pipeline.unet.dtype == generator._pipeline.text_encoder.dtype == torch.bfloat16
    )
    assert [image.size for image in generator.generate(["a red flower"], [1])] == [(24, 24)]


def test_every_option_reaches_the_pipeline(config, stable_diffusion_folder):
    from fedmvp_flwr.completion.completers import FoundationCompleter, Source

    update = {
        "image_generator": f"diffusers:{stable_diffusion_folder}",
        "generator_steps": 2,
        "generator_guidance": 3.5,
        "generator_size": 24,
        "generator_batch_size": 2,
    }
    changed = config.changed(**update)
    models = FoundationModels(changed)
    generator = models.image_generator
    calls, real = [], generator._pipeline

    def pipeline(**arguments):
        calls.append(arguments)
        return real(**arguments)

    generator._pipeline = pipeline
    texts = ["a red flower", "the blue flower", "a flower"]
    sources = [Source(text, f"{row:064d}") for row, text in enumerate(texts)]
    assert len(FoundationCompleter(models, changed).complete("image", sources)) == 3
    # The last one is alone; a batch of one would be computed by another kernel.
    assert [len(call["prompt"]) for call in calls] == [2, 2]
    for call in calls:
        assert (call["num_inference_steps"], call["guidance_scale"]) == (2, 3.5)
        assert call["height"] == call["width"] == 24


def test_the_device_reaches_the_pipeline(config):
    from fedmvp_flwr.foundation.libraries.diffusers_generator import _place
    from fedmvp_flwr.foundation.specs import LoadContext

    class Pipeline:
        def to(self, device):
            return f"on {device}"

    assert _place(Pipeline(), LoadContext(None, "cuda:1", config, {})) == "on cuda:1"


def test_the_size_of_the_images_is_known_beforehand(pixart_folder, stable_diffusion_folder):
    from fedmvp_flwr.foundation.libraries.diffusers_generator import largest_side

    for folder in (pixart_folder, stable_diffusion_folder):
        assert largest_side(folder) >= 16
    assert largest_side(pixart_folder.parent / "nowhere") == 1024


@pytest.mark.parametrize("way", ["model", "sequential"])
def test_offloading_needs_a_gpu(way, config):
    models = FoundationModels(config.changed(generator_offload=way))
    with pytest.raises(ModelError, match=f"generator-offload='{way}' needs a GPU"):
        _ = models.image_generator


@pytest.mark.parametrize("way", ["model", "sequential"])
def test_offloading_is_left_to_the_pipeline(way, config, monkeypatch):
    from fedmvp_flwr.foundation.libraries.diffusers_generator import _place
    from fedmvp_flwr.foundation.specs import LoadContext

    calls = []

    class Pipeline:
        def enable_model_cpu_offload(self, device):
            calls.append(("model", device))

        def enable_sequential_cpu_offload(self, device):
            calls.append(("sequential", device))

    context = LoadContext(None, "cuda:1", config.changed(generator_offload=way), {})
    monkeypatch.setattr("diffusers.utils.is_accelerate_available", lambda: False)
    with pytest.raises(ModelError, match="accelerate"):
        _place(Pipeline(), context)
    monkeypatch.setattr("diffusers.utils.is_accelerate_available", lambda: True)
    _place(Pipeline(), context)
    assert calls == [(way, "cuda:1")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (json.dumps({"call": {"no_such_argument": 1}}), "takes no no_such_argument"),
        (json.dumps({"call": [1]}), "expected an object"),
        (json.dumps({}), "call"),
        ("{", "JSON"),
    ],
)
def test_wrong_settings_of_the_folder(settings, message, config, pixart_folder, tmp_path):
    folder = tmp_path / "generator"
    shutil.copytree(pixart_folder, folder)
    (folder / "fedmvp.json").write_text(settings)
    spec = f"diffusers:local:{folder}"
    models = FoundationModels(config.changed(image_generator=spec))
    with pytest.raises(ModelError, match=message):
        _ = models.image_generator


def test_nothing_in_nothing_out(models):
    assert models.image_encoder.encode([]) == []
    assert models.text_encoder.encode([]) == []
    assert models.captioner.caption([], "a picture of") == []
    assert models.captioner.caption_each([], ["a", "b"]) == [[], []]
    assert models.image_generator.generate([], []) == []


def test_models_are_loaded_at_first_use_and_released(config):
    models = FoundationModels(config)
    assert models.comparable
    assert len(models.fingerprint("captioner")) == 64
    assert models.models_loaded == ()
    first = models.image_encoder
    assert models.image_encoder is first
    assert models.encoder("text")._clip is first._clip
    assert models.models_loaded == ("image_encoder", "text_encoder")
    models.release()
    assert models.models_loaded == ()
    assert models.image_encoder is not first


def test_models_that_a_run_does_not_need_may_be_missing(config):
    models = FoundationModels(config.changed(captioner="transformers:local:/no/such/folder"))
    models.require(["image_encoder", "image_generator"])
    with pytest.raises(ModelError, match="does not exist"):
        models.require(["image_encoder", "captioner"])


def test_naming_models_imports_no_library():
    code = (
        "import sys; import fedmvp_flwr.foundation.bundle, fedmvp_flwr.completion.pipeline; "
        "heavy = {'transformers', 'diffusers', 'open_clip', 'timm', 'datasets', 'ray', 'PIL'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_loading_uses_no_network(config, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    models = FoundationModels(config)
    loaded = (models.image_encoder, models.text_encoder, models.captioner, models.image_generator)
    assert len(models.models_loaded) == len(loaded)
