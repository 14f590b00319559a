import numpy as np
import torch

from fedmvp_flwr.pretraining.job import Budget, Job, seeded
from fedmvp_flwr.pretraining.sample_bank import SampleBank
from fedmvp_flwr.pretraining.shape import Shape


def job(tmp_path, seed=0, count=9):
    images = np.zeros((count, 8, 8, 3), dtype=np.uint8)
    none = torch.zeros(count, 0, dtype=torch.int64)
    bank = SampleBank(images, tuple(map(str, range(count))), none)
    return Job(bank, tmp_path, Budget(1, 1), seed, Shape(image_size=8), None)


def test_a_draw_depends_on_seed_name_and_step_alone(tmp_path):
    def drawn(seed, name, step):
        draw = job(tmp_path, seed).draw(name, step, 4)
        noise = torch.rand(2, generator=draw.noise).tolist()
        return draw.index.tolist(), float(draw.chance.random()), noise

    assert drawn(0, "a", 3) == drawn(0, "a", 3)
    others = [drawn(0, "a", 4), drawn(0, "b", 3), drawn(1, "a", 3)]
    assert drawn(0, "a", 3) not in others


def test_a_draw_repeats_no_image_and_is_never_larger_than_the_bank(tmp_path):
    for size, expected in ((4, 4), (100, 9)):
        index = job(tmp_path).draw("a", 0, size).index
        assert len(set(index.tolist())) == len(index) == expected


def test_first_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, same, other = (seeded(s, lambda: torch.nn.Linear(2, 2)).weight for s in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)
