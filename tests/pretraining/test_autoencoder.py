import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fedmvp_flwr.pretraining.autoencoder import (
    AutoencoderTrainer,
    build_autoencoder,
    encode_bank,
    load_autoencoder,
    refine_decoder,
    train_autoencoder,
)
from fedmvp_flwr.pretraining.bank import pixels_of
from fedmvp_flwr.pretraining.job import seeded


@pytest.fixture
def job(job_of):
    return job_of()


@pytest.fixture
def made(job):
    return train_autoencoder(job)[0]


def test_latents_have_unit_variance_and_a_quarter_of_the_side(made, job):
    latents = encode_bank(made, job.bank)
    assert latents.shape == (6, 4, 4, 4)
    assert latents.dtype == torch.float16
    assert float(latents.float().std()) == pytest.approx(1, abs=1e-2)
    with torch.inference_mode():
        raw = made.encoder(pixels_of(job.bank, np.array([2])))
    assert torch.allclose(latents[2:3].float(), raw * made.config.scaling_factor, atol=1e-2)


def test_the_scale_survives_saving(made, tmp_path):
    made.save_pretrained(tmp_path / "folder")
    again = load_autoencoder(tmp_path / "folder")
    assert again.config.scaling_factor == made.config.scaling_factor
    assert not again.training
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in made.state_dict().items())


def test_the_loss_is_that_of_latents_with_noise(job, monkeypatch):
    trainer = AutoencoderTrainer(seeded(0, lambda: build_autoencoder(job.shape)))
    draw = job.draw("autoencoder", 0, 3)
    monkeypatch.setattr(torch, "randn", lambda shape, **_: torch.zeros(shape))
    with torch.inference_mode():
        latents = trainer.model.encoder(draw.pixels)
        decoded = trainer.model.decoder(latents)
        error = F.l1_loss(decoded, draw.pixels) + F.mse_loss(decoded, draw.pixels)
        oracle = error + 1e-3 * latents.square().mean()
        assert torch.allclose(trainer.loss(draw), oracle, atol=1e-5)


def test_the_decoder_is_trained_on_and_the_latents_stay(made, job):
    before = {name: value.clone() for name, value in made.state_dict().items()}
    refined, trained = refine_decoder(made, job)
    assert trained.steps == 2
    changed = {k for k, v in refined.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(name.startswith("decoder.") for name in changed)
