from dataclasses import replace

import pytest
import torch

from fedmvp_flwr.pretraining.checkpoints import stored_progress
from fedmvp_flwr.pretraining.job import Budget
from fedmvp_flwr.pretraining.stages import SHARES, train_all


@pytest.fixture
def job(job_of):
    return job_of(steps=1)


def test_the_shares_of_the_stages_are_the_whole_budget():
    assert sum(SHARES.values()) == pytest.approx(1)


def test_every_stage_is_told_and_leaves_its_model(job, tmp_path):
    seen = []
    results = train_all(job, tmp_path / "out", lambda *progress: seen.append(progress))
    assert list(results) == list(SHARES)
    assert {stage: trained.steps for stage, trained in results.items()} == dict.fromkeys(SHARES, 1)
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == list(SHARES)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "encoder",
        "captioner",
        "generator",
    }


def test_a_larger_budget_trains_on_but_leaves_the_latents(job, tmp_path):
    train_all(job, tmp_path / "out")
    latents = job.work / "autoencoder" / "diffusion_pytorch_model.safetensors"
    before = latents.read_bytes()
    again = train_all(replace(job, budget=Budget(2, 60)), tmp_path / "out")
    steps = {stage: trained.steps for stage, trained in again.items()}
    assert steps == {**dict.fromkeys(SHARES, 2), "autoencoder": 1}
    assert latents.read_bytes() == before


def test_the_captioner_begins_with_the_image_tower_of_the_encoder(job, tmp_path, monkeypatch):
    from fedmvp_flwr.pretraining import stages

    handed = []
    hand_on = stages.encoder_to_captioner

    def record(encoder, captioner):
        hand_on(encoder, captioner)
        handed.append((encoder, captioner.model.vision_model.embeddings.class_embedding.clone()))

    monkeypatch.setattr(stages, "encoder_to_captioner", record)
    train_all(job, tmp_path / "out")
    ((encoder, token),) = handed
    assert torch.equal(token[0, 0], encoder.clip.visual.class_embedding)
    assert stored_progress(job.checkpoint("captioner")).steps == 1
