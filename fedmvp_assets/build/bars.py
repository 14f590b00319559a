"""Measures the embedded models, loaded by their real classes, on flowers new to all of them."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fedmvp_assets.build import words
from fedmvp_assets.build.bank import ATTRIBUTES, FlowerBank
from fedmvp_assets.build.judge import Judge, accuracy, to_pixels
from fedmvp_flwr.base.seeds import numpy_generator, seed_for
from fedmvp_flwr.data.sources import flora
from fedmvp_flwr.pretraining.bank import pixels_of
from fedmvp_flwr.pretraining.measure import recall

NUM_RETRIEVED = 200  # pairs that a caption or a picture is searched among
_BATCH = 50
_BYTES_PER_MB = 1_000_000
# What the project asks of the models: (path into the metrics, at least).
BARS: dict[str, tuple[tuple[str, ...], float]] = {
    "named attributes that are right": (("captioner", "right-when-named"), 0.90),
    "captions that name three attributes": (("captioner", "names-three"), 0.90),
    "colour of generated images": (("generator", "full-prompts", "colour"), 0.95),
    "shape of generated images": (("generator", "full-prompts", "shape"), 0.80),
    "pattern of generated images": (("generator", "full-prompts", "pattern"), 0.80),
    "centre of generated images": (("generator", "full-prompts", "centre"), 0.80),
    "image to text retrieval, R@5 of 200": (("encoder", "image-to-text-r5"), 0.60),
    "captions per second": (("captioner", "captions-per-second"), 30.0),
    "images per second": (("generator", "images-per-second"), 10.0),
}

Metrics = dict[str, Any]


def measure_encoder(folder: Path, bank: FlowerBank, seed: int) -> Metrics:
    """Retrieval among 200 pictures and their captions, as the data set words them."""
    import open_clip

    name = f"local-dir:{folder}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    tokenizer = open_clip.get_tokenizer(name)
    generator = numpy_generator(seed, "retrieval")
    specs = bank.specs[:NUM_RETRIEVED]
    texts = [flora.caption(spec, generator) for spec in specs]
    with torch.inference_mode():
        pixels = torch.stack([preprocess(spec.load()) for spec in specs])
        image = F.normalize(model.eval().encode_image(pixels), dim=1)
        text = F.normalize(model.encode_text(tokenizer(texts)), dim=1)
    similarity = image @ text.T
    return {
        "image-to-text-r5": recall(similarity),
        "text-to-image-r5": recall(similarity.T),
        "pairs": len(specs),
    }


def measure_captioner(folder: Path, bank: FlowerBank, count: int) -> Metrics:
    """Right values in coarse and detailed captions and in answers, and the speed."""
    from transformers import AutoProcessor, BlipForConditionalGeneration

    processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
    model = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    specs = bank.specs[:count]
    began = time.perf_counter()
    coarse = _continue(model, processor, specs, words.COARSE_PROMPT)
    seconds = time.perf_counter() - began
    detailed = _continue(model, processor, specs, words.DETAILED_PROMPT)
    answers = {
        name: _continue(model, processor, specs, words.question_prompt(name))
        for name in words.VISIBLE
    }
    named = [[words.named_values(text, name) for name in words.VISIBLE] for text in coarse]
    right = [
        found == {getattr(spec, name)}
        for spec, row in zip(specs, named, strict=True)
        for name, found in zip(words.VISIBLE, row, strict=True)
        if found
    ]
    return {
        "right-when-named": _share(right),
        "names-three": _share([sum(map(bool, row)) >= 3 for row in named]),
        "named-per-caption": sum(bool(values) for row in named for values in row) / len(specs),
        "coarse": {name: _right_when_named(specs, coarse, name) for name in words.VISIBLE},
        "detailed": {name: _right(specs, detailed, name) for name in words.VISIBLE},
        "answers": {name: _right(specs, texts, name) for name, texts in answers.items()},
        "captions-per-second": len(specs) / seconds,
        "pictures": len(specs),
        "examples": coarse[:3],
    }


def measure_generator(
    folder: Path, bank: FlowerBank, judge: Judge, count: int, seed: int
) -> Metrics:
    """What the judge sees in generated pictures of full and of partial prompts, and the speed."""
    from diffusers import AutoPipelineForText2Image

    pipeline = AutoPipelineForText2Image.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    call = json.loads((folder / "fedmvp.json").read_text(encoding="utf-8"))["call"]
    specs = bank.specs[:count]
    target = bank.attributes[:count]
    generator = numpy_generator(seed, "prompts")
    full = [words.full_caption(spec) for spec in specs]
    partial = [flora.caption(spec, generator) for spec in specs]
    began = time.perf_counter()
    pixels = _generate(pipeline, call, full, seed)
    seconds = time.perf_counter() - began
    seen = judge.predict(_generate(pipeline, call, partial, seed))
    stated = {name: [bool(words.named_values(t, name)) for t in partial] for name in ATTRIBUTES}
    return {
        "full-prompts": accuracy(judge, pixels, target),
        "partial-prompts": {
            name: _share((seen[:, i] == target[:, i])[torch.tensor(stated[name])].tolist())
            for i, name in enumerate(ATTRIBUTES)
        },
        "images-per-second": len(full) / seconds,
        "call": call,
        "pictures": len(full),
    }


def measure_judge(judge: Judge, autoencoder: Any, bank: FlowerBank) -> Metrics:  # noqa: ANN401
    """The judge on drawn pictures, and on the same after the autoencoder."""
    pixels = pixels_of(bank, np.arange(len(bank)))
    with torch.inference_mode():
        decoded = torch.cat(
            [autoencoder.decoder(autoencoder.encoder(part)) for part in pixels.split(_BATCH)]
        )
    return {
        "drawn": accuracy(judge, pixels, bank.attributes),
        "autoencoded": accuracy(judge, decoded.clamp(-1, 1), bank.attributes),
        "autoencoder-mean-absolute-error": float((decoded - pixels).abs().mean()) / 2,
    }


def folder_megabytes(folder: Path) -> float:
    """Size of all files below a folder, in MB."""
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / _BYTES_PER_MB


def bar_results(metrics: Metrics) -> dict[str, tuple[float, float]]:
    """Measured value and bar, for every bar whose model was measured."""
    results = {}
    for name, (path, least) in BARS.items():
        value: Any = metrics
        for key in path:
            value = value.get(key, {})
        if value != {}:
            results[name] = (float(value), least)
    return results


def _continue(
    model: Any,  # noqa: ANN401
    processor: Any,  # noqa: ANN401
    specs: list[flora.FlowerSpec],
    prompt: str,
) -> list[str]:
    texts: list[str] = []
    prompt_ids = processor.tokenizer(prompt, add_special_tokens=False).input_ids
    ids = [model.config.text_config.bos_token_id, *prompt_ids]
    for start in range(0, len(specs), _BATCH):
        images = [spec.load() for spec in specs[start : start + _BATCH]]
        pixels = processor.image_processor(images, return_tensors="pt").pixel_values
        with torch.inference_mode():
            # BLIP's own `generate` drops the last token of its input, a separator normally.
            rows = torch.tensor([[*ids, model.config.text_config.sep_token_id]] * len(images))
            output = model.generate(pixel_values=pixels, input_ids=rows, max_new_tokens=24)
        texts += processor.tokenizer.batch_decode(output[:, len(ids) :], skip_special_tokens=True)
    return texts


def _generate(pipeline: Any, call: Metrics, prompts: list[str], seed: int) -> Tensor:  # noqa: ANN401
    images: list[np.ndarray] = []
    for start in range(0, len(prompts), _BATCH):
        part = prompts[start : start + _BATCH]
        noise = [
            torch.Generator().manual_seed(seed_for(seed, "bars", start + i))
            for i in range(len(part))
        ]
        output = pipeline(prompt=part, generator=noise, output_type="pil", **call)
        images += [np.asarray(image.convert("RGB")) for image in output.images]
    return to_pixels(images)


def _share(values: list[bool]) -> float:
    return sum(values) / max(1, len(values))


def _right(specs: list[flora.FlowerSpec], texts: list[str], name: str) -> float:
    pairs = zip(specs, texts, strict=True)
    return _share([words.named_values(text, name) == {getattr(s, name)} for s, text in pairs])


def _right_when_named(specs: list[flora.FlowerSpec], texts: list[str], name: str) -> float:
    found = [
        (words.named_values(t, name), {getattr(s, name)}) for s, t in zip(specs, texts, strict=True)
    ]
    return _share([values == true for values, true in found if values])
