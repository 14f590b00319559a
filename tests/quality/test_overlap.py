import itertools

import pytest
import torch

from fedmvp_flwr.quality.overlap import rouge_l, token_match


def slow_rouge(candidate, reference):
    """Longest common subsequence by trying all of them."""
    ours, theirs = candidate.split(), reference.split()
    for length in range(min(len(ours), len(theirs)), 0, -1):
        left = set(itertools.combinations(ours, length))
        if left & set(itertools.combinations(theirs, length)):
            precision, recall = length / len(ours), length / len(theirs)
            return 2 * precision * recall / (precision + recall)
    return 0.0


@pytest.mark.parametrize(
    ("candidate", "reference"),
    [
        ("a red flower", "a red flower"),
        ("a red flower", "the red round flower"),
        ("flower red a", "a red flower"),
        ("a b a c a d b", "b a d a c b a"),
        ("one two", "three four"),
    ],
)
def test_against_all_subsequences(candidate, reference):
    value = rouge_l(candidate, reference)
    assert value == pytest.approx(slow_rouge(candidate, reference))
    assert value == pytest.approx(rouge_l(reference, candidate))


def test_case_and_punctuation_do_not_count_and_scripts_do():
    assert rouge_l("A red flower!", "a RED, flower") == 1
    assert rouge_l("Blümchen 花", "blümchen 花") == 1
    assert rouge_l("", "a") == rouge_l("...", "a") == rouge_l("a", "") == 0


def slow_match(candidate, reference):
    def best(token, others):
        return max(float(torch.cosine_similarity(token, other, dim=0)) for other in others)

    precision = sum(best(token, reference) for token in candidate) / len(candidate)
    recall = sum(best(token, candidate) for token in reference) / len(reference)
    return 2 * precision * recall / (precision + recall)


def test_token_match_against_loops():
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.randn(5, 4, generator=generator),
        torch.randn(7, 4, generator=generator),
    )
    assert token_match(left, right) == pytest.approx(slow_match(left, right), abs=1e-6)
    assert token_match(left, 3 * left[[4, 0, 2, 3, 1]]) == pytest.approx(1)
    assert token_match(left, torch.zeros(0, 4)) == 0
    assert token_match(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]])) == -1
