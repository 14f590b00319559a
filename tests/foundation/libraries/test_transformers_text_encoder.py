"""Text encoders of transformers, each real class built tiny and loaded by its path."""

import pytest
import torch

from fedmvp_flwr.base.errors import ModelError
from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.foundation.bundle import FoundationModels

TEXTS = ["a red flower", "", "a red flower with five round petals , the centre is blue .", "花 🌸"]


WORDS = {"clip": "hf_clip", "siglip": "siglip", "bert": "bert"}


def text_encoder(spec, longest=10):
    return FoundationModels(
        RunConfig.of(text_encoder=spec, text_max_tokens=longest).models
    ).text_encoder


def close(left, right):
    return torch.allclose(left.float(), right.float(), atol=4e-3)


@pytest.mark.parametrize("kind", WORDS)
def test_text_tokens_have_their_real_length(kind, built):
    encoder = text_encoder(f"transformers:{built(WORDS[kind])}")
    features = encoder.encode(TEXTS)
    assert [len(item.tokens) for item in features] == [5, 2, 10, 4]  # [CLS] and [SEP] included
    for text, item in zip(TEXTS, features, strict=True):
        assert item.tokens.shape[1] == encoder.token_width
        assert item.pooled.float().norm() == pytest.approx(1, abs=2e-3)
        (alone,) = encoder.encode([text])
        assert close(alone.tokens, item.tokens)
        assert close(alone.pooled, item.pooled)
    assert encoder.encode([]) == []


@pytest.mark.parametrize(
    ("pooling", "expected"), [(None, "mean"), ("mean", "mean"), ("cls", "cls")]
)
def test_a_text_model_pools_as_its_folder_says(pooling, expected, built):
    encoder = text_encoder(f"transformers:{built('bert', pooling=pooling)}")
    item = encoder.encode(["a red flower"])[0]
    tokens = item.tokens.float()
    oracle = tokens[0] if pooling == "cls" else tokens.mean(dim=0)
    assert close(item.pooled, torch.nn.functional.normalize(oracle, dim=0))


def test_another_pooling_is_refused(built):
    with pytest.raises(ModelError, match="pooling over the mean or the class token"):
        text_encoder(f"transformers:{built('bert', pooling='max')}")


def test_a_text_model_reads_no_more_than_the_setting(built):
    folder = built("bert")
    short = text_encoder(f"transformers:{folder}", longest=4).encode([TEXTS[2]])[0]
    assert len(short.tokens) == 4
    cut = text_encoder(f"transformers:{folder}").encode(["a red"])[0]
    assert close(short.tokens, cut.tokens)  # [CLS] a red [SEP]


def test_a_model_of_the_other_modality(built):
    with pytest.raises(ModelError, match=r"text-encoder.*(cannot load|no text encoder)"):
        text_encoder(f"transformers:{built('vit')}")
