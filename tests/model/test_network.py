import pytest
import torch

from fedmvp_flwr import RunConfig
from fedmvp_flwr.aggregation.wire import check_message_size, pack
from fedmvp_flwr.model.network import FedMVPNetwork


@torch.no_grad()
def test_the_output_has_a_score_per_class_and_modality(network, make_batch):
    output = network(make_batch(5))
    assert output.joint.shape == (5, 16)
    assert output.logits.shape == (5, 3)
    assert list(output.modality) == list(output.modality_logits) == ["image", "text"]
    for name in ("image", "text"):
        assert output.modality[name].shape == (5, 16)
        assert output.modality_logits[name].shape == (5, 3)


@torch.no_grad()
def test_one_head_serves_all_vectors(network, make_batch):
    output = network(make_batch(5))
    torch.testing.assert_close(output.logits, network.classifier(output.joint))
    torch.testing.assert_close(
        output.modality_logits["text"], network.classifier(output.modality["text"])
    )


@torch.no_grad()
def test_predictions_are_the_probabilities_of_the_joint_vectors(network, make_batch):
    batch = make_batch(5)
    predicted = network.predict(batch)
    torch.testing.assert_close(predicted.sum(dim=1), torch.ones(5))
    torch.testing.assert_close(predicted, network(batch).logits.softmax(dim=1))


def test_at_least_two_classes(widths):
    with pytest.raises(ValueError, match="at least 2 classes"):
        FedMVPNetwork(RunConfig.of().training, widths, 1)


def test_the_settings_of_a_run_decide(make_batch):
    config = RunConfig.of(model_width=24, model_layers=3, model_heads=3, model_dropout=0.25)
    network = FedMVPNetwork(config.training, make_batch(2).widths, 7)
    assert network.encoder.width == 24
    assert len(network.encoder.layers) == 3
    assert network.encoder.self_attention.attention.heads == 3
    assert network.encoder.self_attention.attention.dropout.chance == 0.25
    assert network.classifier.head.out_features == 7


def test_the_default_network_fits_a_message():
    widths = {"image": (512, 512), "text": (512, 512)}
    network = FedMVPNetwork(RunConfig.of().training, widths, 200)
    assert check_message_size(pack(network.state_dict(), "fp16"), 4.0) < 4_000_000
