"""A whole federation with completion by retrieval: no captioner and no generator is asked for."""

import pytest

pytestmark = pytest.mark.slow

RETRIEVAL = {"completion": "retrieval", "method": "fedavg", "captioner": "no:such"}


def test_clients_take_from_their_own_pairs(federate):
    result, events = federate(missing_pattern="random", **RETRIEVAL)
    assert result["status"] == "completed"
    assert result["completions"]["text"]["made"] > 0
    assert "accuracy-with-completion" not in result  # the server owns no pairs to take from
    clients = [e for e in events if e["event"] == "evaluation" and e["where"] == "clients"]
    assert set(clients[-1]["accuracy-with-completion"]) >= {"image-only", "text-only"}
    assert sorted(result["models"]) == ["image-encoder", "text-encoder"]
    assert all(len(model["fingerprint"]) == 64 for model in result["models"].values())


def test_a_missing_public_split_is_named_before_round_1(federate):
    with pytest.raises(Exception, match="public-split='public'"):
        federate(**RETRIEVAL, retrieval_source="public")
