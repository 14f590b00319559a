"""The baseline that trains at the server alone, from end to end."""

import pytest

pytestmark = pytest.mark.slow


def test_no_owner_trains_and_the_model_learns_from_the_probe(federate):
    settings = {"method": "server-only", "completion": "none", "probe_tuning_rate": 1.0}
    result, events = federate(num_server_rounds=3, probe_tuning_epochs=4, **settings)
    assert result["status"] == "completed"
    assert result["rounds"] == {"last": 3, "selected": 3}
    assert not [event for event in events if event["event"] == "round"]
    assert result["bytes"] == {}
    assert {"complete", "image-only", "text-only"} <= set(result["accuracy"])
    again, _ = federate(num_server_rounds=3, probe_tuning_epochs=4, **settings)
    assert again["accuracy"] == result["accuracy"]
