import json

import pytest
import torch

from fedmvp_flwr.config.models import ModelSettings
from fedmvp_flwr.foundation.bundle import FoundationModels
from fedmvp_flwr.pretraining import generator as module
from fedmvp_flwr.pretraining.autoencoder import train_autoencoder
from fedmvp_flwr.pretraining.generator import build_generator, save_generator


@pytest.fixture
def job(job_of):
    return job_of()


@pytest.fixture
def autoencoder(job):
    return train_autoencoder(job)[0]


def test_the_flow_from_latents_to_noise_is_learned(job, autoencoder):
    trainer = build_generator(job, autoencoder)
    draw = job.draw("generator", 0, 4)
    seen = {}

    class Output:
        sample = torch.zeros(4, 4, 4, 4)

    def transformer(mixed, *, timestep, **_):
        seen.update(mixed=mixed, share=timestep / 1000)
        return Output

    del trainer.transformer
    trainer.transformer = transformer
    loss = trainer.loss(draw)
    latents = module.encode_bank(autoencoder, job.bank)[torch.from_numpy(draw.index)].float()
    share = seen["share"][:, None, None, None]
    flow = (seen["mixed"] - latents) / share  # the noise less the latents
    assert ((share > 0) & (share < 1)).all()
    assert float(loss) == pytest.approx(float(flow.square().mean()), rel=1e-2)


def test_first_weights_depend_on_the_seed_alone(job, autoencoder):
    first, bare = build_generator(job, autoencoder), build_generator(job)
    assert all(torch.equal(v, bare.state_dict()[k]) for k, v in first.state_dict().items())


def test_a_saved_generator_draws_images_of_its_size(job, autoencoder, tmp_path):
    trainer = build_generator(job, autoencoder)
    folder = tmp_path / "generator"
    save_generator(trainer, autoencoder, job, folder)
    call = json.loads((folder / "fedmvp.json").read_text())["call"]
    assert (call["height"], call["width"], call["max_sequence_length"]) == (16, 16, 24)
    assert "_name_or_path" not in json.loads((folder / "vae" / "config.json").read_text())
    assert next(trainer.parameters()).dtype == torch.float32
    models = FoundationModels(ModelSettings(image_generator=f"diffusers:{folder}?steps=2"))
    first, second = models.image_generator.generate(["a red bag", ""], [1, 2])
    assert first.size == second.size == (16, 16)
