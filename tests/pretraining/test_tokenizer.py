import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.pretraining.sample_bank import CAPTION_PROMPTS
from fedmvp_flwr.pretraining.tokenizer import learn_tokenizer

TEXTS = ["A red bag of soft leather, 40% wool.", "A blue bag of soft wool!", "Rote Tasche, 花と水"]


@pytest.fixture(scope="module")
def tokenizer():
    return learn_tokenizer(TEXTS * 5, 300, 24)


@pytest.mark.parametrize("text", [*TEXTS, "never seen: naïve Ω 🙂", "a  b", "[SEP] is no end"])
def test_any_text_is_spelt_and_decoded_in_lower_case(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, truncation=False).input_ids
    assert tokenizer.unk_token_id not in ids
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    assert decoded.lower().split() == text.lower().split()


def test_frame_padding_and_end(tokenizer):
    batch = tokenizer([TEXTS[0], ""], padding=True, truncation=True)
    for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True):
        real = [i for i, there in zip(ids, mask, strict=True) if there]
        assert real[0] == tokenizer.cls_token_id
        assert real[-1] == tokenizer.sep_token_id == len(tokenizer) - 1 == max(ids)
        assert set(ids[len(real) :]) <= {0}
    assert tokenizer.pad_token_id == 0


def test_long_texts_are_cut_but_end(tokenizer):
    (ids,) = tokenizer(["word " * 500], truncation=True).input_ids
    assert len(ids) == 24
    assert ids[-1] == tokenizer.sep_token_id


def test_a_prompt_is_a_prefix_of_prompt_and_text(tokenizer):
    for prompt in CAPTION_PROMPTS:
        begin = tokenizer(prompt, add_special_tokens=False).input_ids
        whole = tokenizer(f"{prompt} a red bag", add_special_tokens=False).input_ids
        assert whole[: len(begin)] == begin


def test_the_same_texts_give_the_same_tokenizer(tokenizer):
    again = learn_tokenizer(TEXTS * 5, 300, 24)
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again(TEXTS).input_ids == tokenizer(TEXTS).input_ids


def test_it_survives_saving(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert loaded(TEXTS, truncation=True).input_ids == tokenizer(TEXTS, truncation=True).input_ids
    assert loaded.decode(loaded(TEXTS[0]).input_ids, skip_special_tokens=True).strip() == (
        TEXTS[0].lower()
    )


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(DataError, match="260"):
        learn_tokenizer(TEXTS, 200, 24)
