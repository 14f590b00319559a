"""A few pairs to look at, with pictures no larger than the page shows."""

import pytest
from PIL import Image

from fedmvp_flwr.completion.completer import NoCompleter
from fedmvp_flwr.completion.pipeline import load_completion
from fedmvp_flwr.completion.store import FeatureStore
from fedmvp_flwr.config.folders import cache_folder
from fedmvp_flwr.data.sources.registry import load_dataset
from fedmvp_flwr.quality import measure
from fedmvp_flwr.quality import pairs as quality_pairs
from fedmvp_flwr.quality.comparison import run_quality
from fedmvp_flwr.quality.page import write_quality


def test_only_the_pictures_of_the_page_are_kept(both, config, tmp_path, monkeypatch):
    loaded = []

    def load(completer, sample, modality, store):
        loaded.append((sample.key, modality))
        return load_completion(completer, sample, modality, store)

    monkeypatch.setattr(quality_pairs, "load_completion", load)
    monkeypatch.setattr(quality_pairs, "THUMBNAIL", 20)
    monkeypatch.setattr(measure, "SHOWN", 5)
    result = run_quality(config, num_samples=24)["coarse"]
    assert result.rows == both["coarse"].rows
    assert result.numbers["overall"] == both["coarse"].numbers["overall"]
    first = both["coarse"].pairs[:5]
    assert [(p.sample.key, p.text) for p in result.pairs] == [(p.sample.key, p.text) for p in first]
    assert [pair.image.size for pair in result.pairs] == [(20, 20)] * 5
    images = [key for key, modality in loaded if modality == "image"]
    assert images == [pair.sample.key for pair in first], "the others are not decoded"
    _, page = write_quality(tmp_path, {"coarse": result})
    assert page.read_text().count("data:image/png;base64") == 2 * 5
    assert "The first 5 pairs" in page.read_text()


def test_a_thumbnail_is_no_larger_for_being_made_twice():
    noise = Image.effect_noise((500, 300), 90)
    once = quality_pairs.thumbnail(noise)
    assert (once.mode, once.size) == ("RGB", (160, 96))
    assert quality_pairs.thumbnail(once).tobytes() == once.tobytes()


def test_a_pair_without_completions_is_the_real_one_alone(config, tmp_path):
    sample = load_dataset(config.data, cache_folder(config.run)).splits["test"][0]
    nothing = NoCompleter(None, config.completion)
    with FeatureStore(tmp_path) as store:
        pair = quality_pairs.load_pair(nothing, sample, store)
    assert (pair.sample, pair.image, pair.text) == (sample, None, None)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_a_thumbnail_is_rgb_and_leaves_the_picture_as_it_was(mode):
    picture = Image.new(mode, (20, 400))
    small = quality_pairs.thumbnail(picture)
    assert (small.mode, small.size) == ("RGB", (8, 160))
    assert (picture.mode, picture.size) == (mode, (20, 400))
