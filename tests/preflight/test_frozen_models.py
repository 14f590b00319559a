"""Every frozen model is listed, or named as missing."""

from fedmvp_flwr.preflight.checks import preflight


def test_every_missing_model_is_named_at_once(small_config):
    settings = small_config(
        image_encoder="timm:local:/no/image",
        text_encoder="transformers:/no/text",
        captioner="transformers:/no/captioner",
        image_generator="diffusers:/no/generator",
        gate_encoder="open_clip:/no/gate",
        prompt_template="no-such",
    )
    text = "\n".join(preflight(settings, 2).problems)
    for part in ("/no/image", "/no/text", "/no/captioner", "/no/generator", "/no/gate", "no-such"):
        assert part in text


def test_the_probe_s_generator_is_checked_also_without_generative_completion(small_config):
    settings = {"completion": "retrieval", "image_generator": "diffusers:/no/generator"}
    assert any("/no/generator" in p for p in preflight(small_config(**settings), 2).problems)
    fedavg = small_config(**settings, method="fedavg")
    assert preflight(fedavg, 2).problems == []


def test_models_are_listed_with_size_and_name(small_config):
    rows = preflight(small_config(), 2).models
    assert [row["setting"] for row in rows] == [
        "image-encoder",
        "text-encoder",
        "image-generator",
        "captioner",
    ]
    assert all(row["MB"] > 0.1 and len(row["fingerprint"]) == 12 for row in rows)
