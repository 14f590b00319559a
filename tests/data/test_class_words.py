"""Class words of languages that set no spaces between words, and of others with marks."""

import unicodedata

import pytest

from fedmvp_flwr.data.class_words import class_word_mask


@pytest.mark.parametrize(
    ("names", "text", "masked"),
    [
        (["鞋子"], "红色鞋子很好", "红色item很好"),
        (["鞋", "鞋子"], "鞋子和鞋", "item和item"),
        (["T恤"], "一件t恤。", "一件item。"),
        (["スニーカー", "靴"], "赤い靴とスニーカーです", "赤いitemとitemです"),
        (["รองเท้า"], "ฉันชอบรองเท้าสีแดง", "ฉันชอบitemสีแดง"),
        (["신발"], "빨간 신발이 좋다", "빨간 item이 좋다"),
        (["Nike"], "红色Nike鞋, Nikelike", "红色item鞋, Nikelike"),
        (["जूते"], "लाल जूते अच्छे", "लाल item अच्छे"),
        (["Café"], "a cafe\u0301, a café, a cafeteria", "a item, a item, a cafeteria"),
        (["Cafe\u0301"], "a café", "a item"),
    ],
)
def test_words_of_any_script(names, text, masked):
    assert class_word_mask(names)(text) == masked


def test_hangul_in_either_composition():
    text = unicodedata.normalize("NFD", "신발이")
    assert class_word_mask(["신발"])(text) == "item" + unicodedata.normalize("NFD", "이")
