import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedmvp_flwr import RunConfig
from fedmvp_flwr.base.errors import ConfigError, DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.missing import real_mask
from fedmvp_flwr.data.dealing.patterns import (
    Holes,
    content_weights,
    held_out_mask,
    lost_by_class,
    lost_modality,
    require_patterns,
    training_mask,
    whole_test_mask,
)


@dataclass(frozen=True)
class Grey:
    """An image of which only the brightness is known."""

    brightness: float


def samples(count=200, classes=4):
    return [
        Sample(f"s{i}", i % classes, Grey((i * 37 % count) / count), "x" * (i * 53 % count + 1))
        for i in range(count)
    ]


def mask(pattern, data=None, client=0, clients=4, **settings):
    config = RunConfig.of(missing_pattern=pattern, **{"missing_ratio": 0.5} | settings)
    return training_mask(data or samples(), config.missing, config.run.seed, client, clients, 4)


def lost(mask, modality):
    return [i for i, flag in enumerate(mask.present[modality]) if not flag]


@pytest.mark.parametrize("pattern", ["random", "content"])
def test_as_many_holes_as_asked_for_and_the_seed_decides(pattern):
    made = mask(pattern)
    assert (len(lost(made, "image")), len(lost(made, "text"))) == (50, 50)
    assert all(i or t for i, t in zip(made.present["image"], made.present["text"], strict=True))
    assert mask(pattern) == made
    assert mask(pattern, seed=1) != made
    assert mask(pattern, client=1) != made


def test_without_strength_all_samples_are_alike():
    assert all((values == 1).all() for values in content_weights(samples(), 0.0).values())


def kinds_of_classes(ratio, share=0.5, seed=0, classes=10):
    return lost_by_class(Holes(0.0, ratio, share, seed, classes=classes))


@pytest.mark.parametrize(
    ("ratio", "share", "images", "texts"),
    [(0.5, 0.5, 2, 3), (1.0, 1.0, 10, 0), (0.3, 0.0, 0, 3), (0.0, 0.5, 0, 0), (0.67, 0.5, 4, 3)],
)
def test_so_many_classes_lack_a_modality(ratio, share, images, texts):
    kinds, other = (kinds_of_classes(ratio, share, seed) for seed in (0, 1))
    assert (kinds.count("image"), kinds.count("text")) == (images, texts)
    assert other != kinds or ratio in (0, 1)


def test_a_class_lacks_its_modality_at_every_owner():
    data = samples()
    kinds = lost_by_class(Holes(0.0, 0.5, 0.5, 0, classes=4))
    for client in range(3):
        made = mask("class", data, client)
        for name in ("image", "text"):
            gone = {i for i, s in enumerate(data) if kinds[s.label] == name}
            assert set(lost(made, name)) == gone
    assert mask("class", seed=3) != mask("class")


@pytest.mark.parametrize("pattern", ["class:0.25", "owner:0.25"])
def test_what_is_left_may_lose_some_at_random(pattern):
    data = samples()
    clients = range(4)
    made = [mask(pattern, data, client) for client in clients]
    before = [mask(pattern.partition(":")[0], data, client) for client in clients]
    for client in clients:
        for name in ("image", "text"):
            assert set(lost(before[client], name)) <= set(lost(made[client], name))
        whole = 200 - len(lost(before[client], "image")) - len(lost(before[client], "text"))
        further = sum(
            len(lost(made[client], n)) - len(lost(before[client], n)) for n in ("image", "text")
        )
        assert further == round(0.25 * whole)
    assert made[0] == mask(pattern, data, 0)


@pytest.mark.parametrize("pattern", ["class", "owner:0.9", "class:0.9"])
def test_no_sample_loses_its_only_modality(pattern):
    data = [replace(s, text=None) if i % 3 == 0 else s for i, s in enumerate(samples(60))]
    for client in range(4):
        made = mask(pattern, data, client, missing_ratio=1.0, missing_image_share=1.0)
        assert all(i or t for i, t in zip(made.present["image"], made.present["text"], strict=True))


def test_dark_images_and_short_texts_get_lost():
    data = samples()
    made = mask("content:4", data)
    gone = np.mean([data[i].image.brightness for i in lost(made, "image")])
    kept = np.mean([s.image.brightness for i, s in enumerate(data) if made.present["image"][i]])
    assert gone < kept - 0.2
    short = np.mean([len(data[i].text) for i in lost(made, "text")])
    long = np.mean([len(s.text) for i, s in enumerate(data) if made.present["text"][i]])
    assert short < long - 40


def test_content_weights_by_hand():
    data = [Sample("a", 0, Grey(0.1), "xx"), Sample("b", 0, Grey(0.9), "xx")]
    data += [Sample("c", 0, Grey(0.5), "xxxx"), Sample("d", 0, None, None)]
    weights = content_weights(data, 2.0)
    assert weights["image"] == pytest.approx([1.0, 0.0, 0.25, 0.0], abs=1e-5)
    assert weights["text"] == pytest.approx([0.75**2, 0.75**2, 0.0, 0.0], abs=1e-5)


def test_equal_contents_are_equally_likely():
    weights = content_weights([Sample(str(i), 0, Grey(0.5), "same") for i in range(5)], 3.0)
    assert len({*weights["image"], *weights["text"]}) == 1


def test_an_image_that_knows_no_brightness_is_decoded(picture):
    class Drawn:
        def load(self):
            return picture(3)

    data = [Sample("a", 0, Drawn(), "t"), Sample("b", 0, Grey(1.0), "t")]
    assert content_weights(data, 1.0)["image"] == pytest.approx([1.0, 0.0], abs=1e-5)


@pytest.mark.parametrize(
    ("ratio", "share", "images", "texts"),
    [(0.5, 0.5, 2, 3), (1.0, 1.0, 10, 0), (0.3, 0.0, 0, 3), (0.0, 0.5, 0, 0), (1.0, 0.5, 5, 5)],
)
def test_so_many_clients_lack_a_modality(ratio, share, images, texts):
    kinds, other = (
        [lost_modality(Holes(None, ratio, share, seed, client, 10)) for client in range(10)]
        for seed in (0, 1)
    )
    assert (kinds.count("image"), kinds.count("text")) == (images, texts)
    assert other != kinds or ratio in (0, 1)


def test_a_client_without_a_modality():
    kinds = set()
    for client in range(4):
        made = mask("owner", client=client, missing_ratio=0.5)
        kinds.add((any(made.present["image"]), any(made.present["text"])))
    assert kinds == {(True, True), (False, True), (True, False)}


def test_a_client_without_a_modality_keeps_what_is_single():
    data = [replace(s, text=None) if i < 3 else s for i, s in enumerate(samples(10))]
    made = mask("owner", data, missing_ratio=1.0, missing_image_share=1.0)
    assert made.present["image"] == (True,) * 3 + (False,) * 7
    assert made.present["text"] == (False,) * 3 + (True,) * 7


def test_real_holes_only():
    data = [replace(s, image=None) if i < 3 else s for i, s in enumerate(samples(10))]
    assert mask("real", data) == real_mask(data)
    assert lost(mask("real", data), "image") == [0, 1, 2]


def whole(data, **settings):
    return whole_test_mask(data, RunConfig.of(**settings).missing, 0, 4)


def test_the_test_set_has_a_pattern_and_a_ratio_of_its_own():
    data = samples()
    assert whole(data, test_missing_pattern="content") == real_mask(data)
    holes = whole(data, test_missing_pattern="content", test_missing_ratio=1.0)
    assert (len(lost(holes, "image")), len(lost(holes, "text"))) == (100, 100)


@pytest.mark.parametrize("pattern", ["random", "content"])
def test_the_test_set_has_the_image_share_of_training(pattern):
    given = {"test_missing_pattern": pattern, "test_missing_ratio": 0.5}
    made = whole(samples(), missing_image_share=0.2, **given)
    assert (len(lost(made, "image")), len(lost(made, "text"))) == (20, 80)


def test_a_strength_is_2_where_none_is_given():
    def made(pattern):
        return whole(samples(), test_missing_pattern=pattern, test_missing_ratio=0.5)

    assert made("content") == made("content:2") != made("content:0")


def test_held_out_samples_of_a_client_without_a_modality():
    missing = RunConfig.of(test_missing_pattern="owner", test_missing_ratio=0.5).missing
    data = samples(8)
    assert whole_test_mask(data, missing, 0, 4) == real_mask(data)
    for client in range(4):
        kind = lost_modality(Holes(None, 0.5, missing.missing_image_share, 0, client, 4))
        made = held_out_mask(data, missing, 0, client, 4)
        for name in ("image", "text"):
            assert len(lost(made, name)) == (8 if name == kind else 0)
    plain = RunConfig.of(test_missing_ratio=0.5).missing
    assert held_out_mask(data, plain, 0, 0, 4) == real_mask(data)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("reel", r"\(did you mean 'real'\?\)"),
        ("blocks", r"class:\.\.\., content:\.\.\., file:\.\.\., owner:\.\.\., random, real"),
        ("content:x", "expected 'content:' and a number that is not below 0"),
        ("class:1", r"expected 'class:' and a share in \[0, 1\)"),
        ("owner:-1", r"expected 'owner:' and a share in \[0, 1\)"),
    ],
)
def test_a_pattern_that_is_not_known(pattern, message):
    for key in ("missing_pattern", "test_missing_pattern"):
        missing = RunConfig.of(**{key: pattern}).missing
        with pytest.raises(ConfigError, match=f"{key.replace('_', '-')}='{pattern}': .*{message}"):
            require_patterns(missing)
    with pytest.raises(ConfigError, match=message):
        mask(pattern)


def test_a_saved_mask_is_read_back(tmp_path):
    data = samples(20)
    made = mask("random", data)
    path = tmp_path / "mask.json"
    for content in (made.record(), [made.record(), mask("random", samples(30)[20:]).record()]):
        path.write_text(json.dumps(content))
        assert mask(f"file:{path}", data) == made
    assert whole(data, test_missing_pattern=f"file:{path}") == made


def test_a_home_that_nobody_has():
    with pytest.raises(DataError, match="~nobody-of-this-name/mask"):
        mask("file:~nobody-of-this-name/mask.csv")
