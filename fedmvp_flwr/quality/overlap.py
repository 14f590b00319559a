"""How much of a text another one says: by its words, and by the embeddings of its tokens."""

import re

import torch
from torch import Tensor

_WORD = re.compile(r"\w+")


def rouge_l(candidate: str, reference: str) -> float:
    """ROUGE-L F1: the longest common subsequence of words against both lengths (Lin, 2004).

    Words are compared in lower case, without punctuation. In [0, 1]; 0 if either has no word.
    """
    ours, theirs = (_WORD.findall(text.lower()) for text in (candidate, reference))
    if not ours or not theirs:
        return 0.0
    row = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for place, other in enumerate(theirs, start=1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return 2 * row[-1] / (len(ours) + len(theirs))


def token_match(candidate: Tensor, reference: Tensor) -> float:
    """F1 of greedy token matching by cosine (BERTScore, Zhang et al. 2020, without weights).

    Args:
        candidate: (T, D) token embeddings.
        reference: (S, D) token embeddings.

    Returns:
        In [-1, 1]; 0 if either has no token.
    """
    if not len(candidate) or not len(reference):
        return 0.0
    ours, theirs = (
        torch.nn.functional.normalize(tokens.float(), dim=1) for tokens in (candidate, reference)
    )
    cosine = ours @ theirs.T
    precision = float(cosine.max(dim=1).values.mean())
    recall = float(cosine.max(dim=0).values.mean())
    total = precision + recall
    return 2 * precision * recall / total if total > 0 else min(precision, recall)
