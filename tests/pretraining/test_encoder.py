import json

import pytest
import torch

from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.pretraining.encoder import EncoderTrainer, model_config, save_encoder
from fedmvp_flwr.pretraining.loop import train


@pytest.fixture
def job(job_of):
    return job_of(sizes=(3,))


def test_the_loss_goes_down_on_the_same_pairs(job_of):
    job = job_of(steps=30, sizes=(3,))
    trainer = job.build(EncoderTrainer)
    with torch.no_grad():
        before = float(trainer.loss(job.draw("encoder", 0, 6)))
    trained = train(job, trainer)
    with torch.no_grad():
        after = float(trainer.loss(job.draw("encoder", 0, 6)))
    assert after < before
    assert trained.loss < before


def test_the_length_of_the_longest_text_does_not_matter(job):
    trainer = job.build(EncoderTrainer).eval()
    short, long = "a red bag", "a red bag " * 4
    with torch.no_grad():
        alone, _ = trainer._encode_text(job.tokens([short]).input_ids)
        padded, _ = trainer._encode_text(job.tokens([short, long]).input_ids)
        whole = trainer.clip.encode_text(
            torch.nn.functional.pad(job.tokens([short]).input_ids, (0, 24))[:, :24]
        )
    assert torch.allclose(alone[0], padded[0], atol=1e-5)
    assert torch.allclose(alone, whole, atol=1e-5)


def test_a_saved_encoder_is_read_as_it_was_trained(job, tmp_path):
    trainer = job.build(EncoderTrainer).eval()
    save_encoder(trainer, job, tmp_path / "encoder")
    spec = f"open_clip:{tmp_path / 'encoder'}"
    models = FoundationModels(ModelSettings(image_encoder=spec, text_encoder=spec, image_grid=2))
    assert models.comparable
    texts = ["a picture of 1 red bags", ""]
    with torch.no_grad():
        oracle, _ = trainer._encode_text(job.tokens(texts).input_ids)
    for item, row in zip(models.text_encoder.encode(texts), oracle, strict=True):
        expected = torch.nn.functional.normalize(row, dim=0)
        assert torch.allclose(item.pooled.float(), expected, atol=1e-2)


def test_heads_of_the_training_are_not_saved(job, tmp_path):
    from safetensors.torch import load_file

    save_encoder(job.build(EncoderTrainer), job, tmp_path)
    names = load_file(tmp_path / "open_clip_model.safetensors")
    assert not [name for name in names if name.startswith(("attributes", "vocabulary"))]
    config = json.loads((tmp_path / "open_clip_config.json").read_text())
    assert config["model_cfg"] == model_config(job.shape, len(job.tokenizer))
    assert config["preprocess_cfg"]["size"] == [16, 16]
