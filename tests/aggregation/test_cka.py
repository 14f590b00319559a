import pytest
import torch

from fedmvp_flwr import cka_matrix, graph_importance, linear_cka
from fedmvp_flwr.aggregation import cka


def slow_hsic(x, y):
    """Centred HSIC of two linear kernels, entry by entry (up to a constant factor)."""
    m = len(x)
    gram_x = [[float(x[i] @ x[j]) for j in range(m)] for i in range(m)]
    gram_y = [[float(y[i] @ y[j]) for j in range(m)] for i in range(m)]

    def centred(gram):
        rows = [sum(row) / m for row in gram]
        columns = [sum(gram[i][j] for i in range(m)) / m for j in range(m)]
        everything = sum(rows) / m
        return [
            [gram[i][j] - rows[i] - columns[j] + everything for j in range(m)] for i in range(m)
        ]

    a, b = centred(gram_x), centred(gram_y)
    return sum(a[i][j] * b[i][j] for i in range(m) for j in range(m))


def slow_cka(x, y):
    x, y = x.double(), y.double()
    return slow_hsic(x, y) / (slow_hsic(x, x) * slow_hsic(y, y)) ** 0.5


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def reps():
    return random(5, 7, 3)


@pytest.mark.parametrize(("m", "p", "q"), [(2, 1, 1), (5, 3, 4), (9, 2, 8), (6, 12, 1)])
def test_linear_cka_equals_centred_hsic(m, p, q):
    x, y = random(m, p, seed=1), random(m, q, seed=2)
    assert float(linear_cka(x, y)) == pytest.approx(slow_cka(x, y), abs=1e-9)


def test_known_values():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    along_first, along_second = x * torch.tensor([1.0, 0.0]), x * torch.tensor([0.0, 1.0])
    assert float(linear_cka(x, x)) == pytest.approx(1.0)
    assert float(linear_cka(along_first, along_second)) == 0.0
    assert float(linear_cka(x, along_first)) == pytest.approx(0.5**0.5, abs=1e-6)


def test_does_not_change_under_rotation_scale_and_translation():
    x, y = random(8, 4, seed=1), random(8, 4, seed=2)
    rotation, _ = torch.linalg.qr(random(4, 4, seed=3))
    expected = float(linear_cka(x, y))
    assert float(linear_cka(x @ rotation * -37.5 + 11.0, y)) == pytest.approx(expected, abs=1e-9)
    assert float(linear_cka(x, y @ rotation * 1e-3 - 4.0)) == pytest.approx(expected, abs=1e-9)


def test_does_change_under_a_stretch():
    x = random(8, 4, seed=1)
    stretched = x * torch.tensor([100.0, 1.0, 1.0, 1.0])
    assert float(linear_cka(x, x)) - float(linear_cka(stretched, x)) > 0.1


def test_matrix_holds_every_pair(reps):
    matrix = cka_matrix(reps)
    assert matrix.shape == (5, 5)
    for i in range(5):
        for j in range(5):
            assert float(matrix[i, j]) == pytest.approx(slow_cka(reps[i], reps[j]), abs=1e-9)
    assert torch.equal(matrix, matrix.T)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_importance_in_linear_time_equals_the_row_sums(reps, dtype):
    reps = reps.to(dtype)
    rows = cka_matrix(reps).sum(dim=1)
    torch.testing.assert_close(graph_importance(reps), rows / rows.sum(), atol=1e-6, rtol=0)


def test_importance_over_several_blocks_equals_one_block(reps, monkeypatch):
    expected = graph_importance(reps)
    monkeypatch.setattr(cka, "_CLIENTS_PER_BLOCK", 2)
    torch.testing.assert_close(graph_importance(reps), expected)
    rows = cka_matrix(reps).sum(dim=1)
    torch.testing.assert_close(expected, rows / rows.sum())


def test_permuting_clients_permutes_the_graph(reps):
    order = torch.tensor([3, 0, 4, 2, 1])
    torch.testing.assert_close(graph_importance(reps[order]), graph_importance(reps)[order])
    torch.testing.assert_close(cka_matrix(reps[order]), cka_matrix(reps)[order][:, order])


def test_permuting_samples_changes_nothing(reps):
    order = torch.randperm(7, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(graph_importance(reps[:, order]), graph_importance(reps))


def test_the_odd_one_out_weighs_least():
    shared = random(10, 3, seed=1)
    reps = torch.stack([shared + 0.1 * random(10, 3, seed=s) for s in (2, 3, 4)])
    reps = torch.cat([reps, random(1, 10, 3, seed=9)])
    importance = graph_importance(reps)
    assert int(importance.argmin()) == 3
    assert float(importance.sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -3e5])
def test_a_constant_client_is_similar_to_nobody(reps, value):
    reps = reps.float().clone()
    reps[2] = value
    matrix, importance = cka_matrix(reps), graph_importance(reps)
    assert torch.isfinite(matrix).all()
    assert not matrix[2].any()
    assert not matrix[:, 2].any()
    assert float(importance[2]) == 0.0
    assert float(importance.sum()) == pytest.approx(1.0)
    assert float(linear_cka(reps[0], reps[2])) == 0.0


def test_a_constant_row_vector_with_rounding_noise_is_constant():
    constant = torch.full((50, 3), 0.1) * torch.tensor([1.0, -7.3, 1e-3])
    assert float(linear_cka(constant, constant)) == 0.0


def test_all_constant_clients_weigh_the_same():
    assert graph_importance(torch.ones(4, 5, 2)).tolist() == [0.25] * 4


def test_one_client_has_all_the_weight(reps):
    assert graph_importance(reps[:1]).tolist() == [1.0]
    assert float(cka_matrix(reps[:1])) == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_huge_and_tiny_values_do_not_matter(reps, scale):
    torch.testing.assert_close(cka_matrix(reps * scale), cka_matrix(reps))
    torch.testing.assert_close(graph_importance(reps * scale), graph_importance(reps))


def test_clients_of_different_scale_are_compared_fairly(reps):
    scales = torch.tensor([1e-20, 1.0, 1e20, 1e5, 1e-5], dtype=torch.float64)[:, None, None]
    torch.testing.assert_close(graph_importance(reps * scales), graph_importance(reps))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_short_types_are_computed_in_float32(reps, dtype):
    short = reps.to(dtype)
    matrix = cka_matrix(short)
    assert matrix.dtype == torch.float32
    torch.testing.assert_close(matrix, cka_matrix(short.double()).float(), atol=1e-5, rtol=0)


def test_integers_are_taken():
    x = torch.tensor([[1, 2], [3, 5], [8, 1]])
    assert float(linear_cka(x, x)) == pytest.approx(1.0)


def test_float64_stays_float64(reps):
    assert graph_importance(reps).dtype == torch.float64


def test_similarity_lies_between_0_and_1(reps):
    matrix = cka_matrix(torch.cat([reps, reps]).float())
    assert float(matrix.max()) <= 1.0
    assert float(matrix.min()) >= 0.0
    assert float(linear_cka(reps[0], reps[0])) <= 1.0


def test_inputs_are_not_changed(reps):
    before = reps.clone()
    cka_matrix(reps)
    graph_importance(reps, temperature=0.5)
    assert torch.equal(reps, before)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 2.0])
def test_temperature_is_a_power_of_the_row_sums(reps, temperature):
    expected = cka_matrix(reps).sum(dim=1).pow(1 / temperature)
    expected = expected / expected.sum()
    torch.testing.assert_close(graph_importance(reps, temperature), expected)


def test_a_lower_temperature_always_sharpens(reps):
    spread = [
        float(graph_importance(reps, temperature).max()) for temperature in (2.0, 1.0, 0.3, 0.05)
    ]
    assert spread == sorted(spread)
    assert spread[0] < spread[-1]


def test_temperature_next_to_1_agrees_with_1(reps):
    torch.testing.assert_close(
        graph_importance(reps, 1.0 + 1e-9), graph_importance(reps, 1.0), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_temperatures_are_refused(reps, temperature):
    with pytest.raises(ValueError, match="temperature"):
        graph_importance(reps, temperature)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_refused(reps, value):
    reps[1, 2, 0] = value
    for function in (cka_matrix, graph_importance):
        with pytest.raises(ValueError, match="not finite"):
            function(reps)
    with pytest.raises(ValueError, match="y has values that are not finite"):
        linear_cka(reps[0], reps[1])


@pytest.mark.parametrize("shape", [(3, 1, 4), (3, 0, 4), (3, 4, 0), (0, 4, 4), (4, 4), (4,)])
def test_shapes_that_cannot_be_compared_are_refused(shape):
    for function in (cka_matrix, graph_importance):
        with pytest.raises(ValueError, match=r"shape|sample"):
            function(torch.zeros(shape))


@pytest.mark.parametrize(
    ("x", "y"), [((1, 3), (1, 3)), ((4, 3), (5, 3)), ((4,), (4, 1)), ((4, 0), (4, 1))]
)
def test_pairs_that_cannot_be_compared_are_refused(x, y):
    with pytest.raises(ValueError, match=r"shape|sample"):
        linear_cka(torch.ones(x), torch.ones(y))
