"""Tokenizers of the models: learned from the texts, framed as BERT's.

Padding is id 0 and the end token has the highest id, as CLIP's pooling needs it.
"""

from collections.abc import Iterable
from typing import Any

from fedmvp_flwr.base.errors import DataError

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
BYTES = 256  # every text can be spelt by its bytes
_SPECIAL = 4
_TWICE = 2  # a merge that occurs once teaches nothing


def learn_tokenizer(texts: Iterable[str], vocabulary_size: int, context: int) -> Any:  # noqa: ANN401 - transformers is imported here only
    """Learn a lower-case byte-level BPE tokenizer: it spells any text and decodes it as it was.

    Args:
        texts: to learn from; the same texts give the same tokenizer.
        vocabulary_size: most tokens; at least the bytes and the special ones.
        context: longest text in tokens; longer ones are cut.

    Raises:
        DataError: too small a vocabulary.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if vocabulary_size < BYTES + _SPECIAL:
        raise DataError(
            f"A vocabulary of {vocabulary_size} tokens is too small: the {BYTES} bytes and "
            f"{_SPECIAL} special tokens alone take {BYTES + _SPECIAL}. Raise --vocabulary."
        )
    core = Tokenizer(models.BPE(unk_token=UNKNOWN))
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - 1,
        min_frequency=_TWICE,
        special_tokens=[PAD, UNKNOWN, START],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.add_special_tokens([END])
    return frame(core, context)


def frame(core: Any, context: int) -> Any:  # noqa: ANN401 - an untyped library's object
    """Put [CLS] and [SEP] around every text of a `tokenizers.Tokenizer`, for transformers.

    It holds the four special tokens; `context` is the longest text with them.
    """
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    core.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, core.token_to_id(START)), (END, core.token_to_id(END))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        unk_token=UNKNOWN,
        cls_token=START,
        sep_token=END,
        bos_token=START,
        eos_token=END,
        model_max_length=context,
    )


def plain(tokenizer: Any) -> Any:  # noqa: ANN401 - an untyped library's object
    """Make it forget the padding and truncation of its last call, which would be saved with it."""
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    return tokenizer
