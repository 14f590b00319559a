"""Class words: singular and plural, of scripts without spaces, and of others with marks."""

import unicodedata

import pytest

from fedmvp_flwr.data.reading.class_words import class_word_mask, word_forms


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


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        # Fashion's article types
        ("Ties", "tie ties Tie"),
        ("Scarves", "scarf scarves scarfs"),
        ("Ties and Cufflinks", "tie ties cufflink cufflinks"),
        ("Accessory Gift Set", "accessories accessory gifts sets"),
        ("Casual Shoes", "shoe shoes casual casuals"),
        ("Tights", "tight tights"),
        ("Watches", "watch watches"),
        ("Dresses", "dress dresses"),
        ("Sunglasses", "sunglass sunglasses"),
        ("Jewellery Set", "jewellery jewelleries"),
        ("Body Mist", "body bodies mist mists"),
        ("Key chain", "key keys chain chains"),
        ("Boxers", "boxer boxers"),
        ("Booties", "bootie booty booties"),
        ("Tshirts", "t-shirt T-Shirts tshirt"),
        ("T-shirts", "t-shirt T-Shirts tshirt t-shirts"),
        # birds
        ("Blue Jay", "blue jay jays"),
        ("Tree Swallow", "trees swallow swallows"),
        ("Scissor tailed Flycatcher", "scissors flycatchers"),
        ("Laysan Albatross", "albatross albatrosses"),
        ("Red bellied Woodpecker", "red reds bellied woodpeckers"),
        ("Canary", "canary canaries"),
        ("Ovenbird", "ovenbird ovenbirds"),
        ("Mallard", "mallard mallards"),
        ("Pine Grosbeak", "pine pines"),
        ("Hooded Merganser", "merganser mergansers"),
        ("Tufted Titmouse", "titmouse titmice"),
        ("Flamingo", "flamingos flamingoes"),
        # flowers
        ("Spring crocus", "spring crocus crocuses croci"),
        ("bearded iris", "iris irises"),
        ("sweet pea", "pea peas"),
        ("globe-flower", "globes flowers"),
        ("peruvian lily", "lily lilies"),
        ("lotus", "lotus lotuses"),
        ("foxglove", "foxglove foxgloves"),
        ("bishop of llandaff", "bishop bishops"),
        ("black-eyed susan", "black eyed susan susans"),
        # others
        ("Hoodies", "hoodie hoody hoodies"),
        ("Beanies", "beanie beanies"),
        ("Shelves", "shelf shelves"),
        ("Knives", "knife knives"),
        ("Knife", "knife knives"),
        ("Leaf", "leaf leaves"),
        ("Keys", "key keys"),
        ("Jersey", "jersey jerseys"),
        ("Bus", "bus buses busses"),
        ("Lens", "lens lenses"),
        ("Quiz", "quiz quizzes"),
        ("Potatoes", "potato potatoes"),
        ("Toy", "toy toys"),
        ("Children", "child children"),
        ("Foot", "foot feet"),
        ("TV", "tv TVs Tv"),
        ("ox", "ox oxen"),
    ],
)
def test_singular_and_plural(name, forms):
    mask = class_word_mask([name])
    assert {form: mask(form) for form in forms.split()} == dict.fromkeys(forms.split(), "item")
    assert mask(name.upper()).lower() == mask(name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Toy", "to buy toying to-y"),
        ("Bus", "buy bu busy"),
        ("Ties", "T-shirt, t shirt, t, ty"),
        ("Ties and Cufflinks", "a T-shirt and more"),
        ("bishop of llandaff", "a box of them"),
        ("bird of paradise", "of the"),
        ("love in the mist", "in the other"),
        ("TV", "t v, t-v, tvset"),
        ("ox", "fox boxes"),
        ("Key", "ke kes keyed"),
        ("Blue Jay", "jaw bluebird"),
    ],
)
def test_other_words_stay(name, text):
    assert class_word_mask([name])(text) == text


@pytest.mark.parametrize("word", ["ties", "bus", "yes", "toes", "ives", "as"])
def test_no_short_form_is_derived(word):
    assert all(len(form) > 2 for form in word_forms(word) - {word})


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("A T-shirt, two Tshirts and a t shirt", "A item, two item and a item"),
        ("Watches beside a watch", "item beside a item"),
        ("a pair of flip flops", "a pair of item item"),
        ("Shirtless dresses and a dress", "Shirtless item and a item"),
        ("skies are no sky-blue ties", "skies are no sky-blue ties"),
    ],
)
def test_class_words(text, masked):
    names = ["Tshirts", "Watches", "Flip Flops", "Dresses", "Shirts", "of"]
    assert class_word_mask(names)(text) == masked


def test_no_class_words_to_mask():
    assert class_word_mask(["7", "x"])("x 7") == "x 7"
