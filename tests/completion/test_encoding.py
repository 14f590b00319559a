"""Features by digest: computed once, kept without tokens where only the whole is compared."""

import pytest
import torch

from fedmvp_flwr.base.errors import StoreError
from fedmvp_flwr.completion import encoding as module
from fedmvp_flwr.completion.encoding import Encoding
from fedmvp_flwr.completion.registry import frozen_models
from fedmvp_flwr.completion.store import FeatureStore

CONTENTS = {f"{number:02d}": f"a flower with {number} petals" for number in range(5)}


@pytest.fixture
def models(tiny_config):
    return frozen_models(tiny_config)


@pytest.fixture
def store(tmp_path):
    with FeatureStore(tmp_path) as opened:
        yield opened


def test_what_was_stored_is_found_in_any_number_of_pieces(models, store, monkeypatch):
    first = Encoding(models, store)
    store.put_many(first.encode("text", CONTENTS))
    for at_once in (1, 2, 256):
        monkeypatch.setattr(module, "_AT_ONCE", at_once)
        second = Encoding(models, store)
        second.look_up({"text": [*CONTENTS, "unknown"]})
        assert {digest for _, digest in second.features} == set(CONTENTS)
        for key, features in first.features.items():
            assert torch.equal(second.features[key].tokens, features.tokens)
            assert torch.equal(second.features[key].pooled, features.pooled)
        assert second.encode("text", CONTENTS) == {}


@pytest.mark.parametrize("again", [False, True], ids=["computed", "from the store"])
def test_tokens_that_are_not_kept_can_be_fetched(models, store, again):
    whole = Encoding(models, store)
    store.put_many(whole.encode("text", CONTENTS))
    lean = Encoding(models, store, lambda modality, digest: digest == "00")
    if again:
        lean.look_up({"text": CONTENTS})
    else:
        lean.encode("text", CONTENTS)
    for (_, digest), features in lean.features.items():
        reference = whole.features["text", digest]
        assert torch.equal(features.pooled, reference.pooled)
        assert len(features.tokens) == (len(reference.tokens) if digest == "00" else 0)
        assert features.tokens.shape[1] == reference.tokens.shape[1]
    lean.fetch_tokens("text", ["00", "02"])
    for digest in ("00", "02"):
        reference = whole.features["text", digest]
        assert torch.equal(lean.features["text", digest].tokens, reference.tokens)
    assert len(lean.features["text", "01"].tokens) == 0


def test_a_store_that_forgets_is_named(models, store):
    lean = Encoding(models, store, lambda modality, digest: False)
    lean.encode("text", CONTENTS)  # and not stored
    with pytest.raises(StoreError, match="lost the text features of 2 contents"):
        lean.fetch_tokens("text", ["01", "03"])
