import numpy as np
import pytest
import torch
from PIL import Image

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.features import ModalityFeatures
from fedmvp_flwr.base.samples import Sample, text_digest
from fedmvp_flwr.completion import contents, encoding
from fedmvp_flwr.completion.contents import Completion
from fedmvp_flwr.data.reading.image_checks import CheckedImage, check_image
from fedmvp_flwr.foundation.bundle import FoundationModels


def picture(seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_features_survive_in_float16():
    features = ModalityFeatures(torch.randn(6, 5)[::2].T, torch.randn(4))
    back = encoding.features_from_bytes(encoding.features_to_bytes(features))
    assert torch.equal(back.tokens, features.tokens.half())
    assert torch.equal(back.pooled, features.pooled.half())


def test_images_survive_without_loss():
    image = picture()
    back = contents.image_from_bytes(contents.image_to_bytes(image))
    assert back.mode == "RGB"
    assert np.array_equal(np.asarray(back), np.asarray(image))
    assert contents.image_digest(back) == contents.image_digest(image)
    assert contents.image_digest(image) != contents.image_digest(picture(1))
    assert contents.image_digest(image) != contents.image_digest(
        image.transpose(Image.Transpose.ROTATE_90)
    )


def test_a_text_completion_is_one_record():
    completion = Completion("Blümchen 花", {"prompts": ["a picture of"], "seed": None})
    record, items = contents.completion_items("key", completion)
    assert items.keys() == {"key"}
    assert contents.CompletionRecord.from_bytes(items["key"]) == record
    assert (record.text, record.digest) == ("Blümchen 花", text_digest("Blümchen 花"))
    assert record.provenance == completion.provenance


def test_an_image_completion_keeps_its_pixels_under_their_digest():
    image = picture()
    record, items = contents.completion_items("key", Completion(image, {"seed": 2**63 - 1}))
    assert items.keys() == {"key", contents.content_key(record.digest)}
    assert record.text is None
    assert contents.CompletionRecord.from_bytes(items["key"]).provenance == {"seed": 2**63 - 1}
    kept = contents.image_from_bytes(items[contents.content_key(contents.image_digest(image))])
    assert np.array_equal(np.asarray(kept), np.asarray(image))


def test_keys_of_features_tell_encoders_and_shapes_apart(tiny_config, tiny_folders):
    other = f"open_clip:local:{tiny_folders['other-clip']}"
    models = [
        FoundationModels(tiny_config.models),
        FoundationModels(tiny_config.changed(image_grid=2).models),
        FoundationModels(tiny_config.changed(image_encoder=other).models),
    ]
    assert len({encoding.features_key("image", "digest", m) for m in models}) == 3
    assert len({encoding.features_key("text", "digest", m) for m in models}) == 1
    assert len({encoding.widths_key(name, models[0]) for name in ("image", "text")}) == 2


def test_a_broken_image_is_named():
    broken = contents.image_to_bytes(picture())[:-40]
    image = CheckedImage("photos/broken.png", check_image(broken), lambda: broken)
    with pytest.raises(DataError, match=r"'photos/broken\.png' cannot be decoded"):
        contents.load_image(Sample("one", 0, image, None))
