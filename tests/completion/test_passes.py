"""The passes over images and texts: in chunks, each thing once, what was lost anew."""

import sqlite3

import pytest
import torch

from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.completion.store import FeatureStore


def test_a_caption_that_is_known_from_elsewhere_is_not_encoded_again(
    tiny_config, shared_models, tmp_path, random_image, monkeypatch, prepare, load_completion
):
    image_alone = [Sample("a", 0, random_image(1), None)]
    config = tiny_config.changed(quality_gate=0.0)
    elsewhere = prepare(image_alone, {"text": [True]}, config, tmp_path / "x", shared_models)
    with FeatureStore(tmp_path / "x") as store:
        caption = load_completion(
            image_alone[0], "text", models=shared_models, store=store, config=config
        )
    prepare([Sample("b", 0, None, caption)], {}, config, tmp_path / "y", shared_models)
    asked = []
    encode = shared_models.text_encoder.encode
    monkeypatch.setattr(
        shared_models.text_encoder, "encode", lambda texts: asked.extend(texts) or encode(texts)
    )
    again = prepare(image_alone, {"text": [True]}, config, tmp_path / "y", shared_models)
    assert asked == []
    assert again.made["text"] == 1
    ours, theirs = (x.completed["text"].tokens for x in (again, elsewhere))
    torch.testing.assert_close(ours, theirs, atol=4e-3, rtol=0)


def test_progress_ends_at_the_total(samples, holes, tiny_config, shared_models, tmp_path, prepare):
    last = {}
    prepare(
        samples,
        holes(samples),
        tiny_config,
        tmp_path,
        shared_models,
        on_progress=lambda stage, done, total: last.update({stage: (done, total)}),
    )
    assert set(last) == {"captions", "image features", "images", "text features"}
    assert all(done == total for done, total in last.values())


def test_a_crash_loses_at_most_one_chunk(
    samples, holes, tiny_config, shared_models, tmp_path, random_image, prepare
):
    class Crashing(random_image):
        def load(self):
            raise KeyboardInterrupt

    doomed = [*samples, Sample("crash", 0, Crashing(99), "a red flower")]
    with pytest.raises(KeyboardInterrupt):
        prepare(doomed, holes(doomed), tiny_config, tmp_path, shared_models)
    again = prepare(samples, holes(samples), tiny_config, tmp_path, shared_models)
    assert again.reused["text"] == 3  # the first chunk was captions


def test_a_lost_generated_image_is_drawn_again(
    prepared, samples, holes, tiny_config, tiny_folders, tmp_path, prepare
):
    connection = sqlite3.connect(FeatureStore(tmp_path).path)
    big = "DELETE FROM entry WHERE substr(value, 2, 3) = x'504e47'"  # every PNG
    with connection:
        assert connection.execute(big).rowcount > 0
    connection.close()
    spec = f"open_clip:local:{tiny_folders['other-clip']}"
    config = tiny_config.changed(image_encoder=spec, text_encoder=spec)
    again = prepare(samples, holes(samples), config, tmp_path)
    assert again.made == {"image": 3, "text": 0}
