import pytest

from fedmvp_flwr.comparison.experiment import ExperimentFile, plan
from fedmvp_flwr.comparison.outcomes import Group
from fedmvp_flwr.comparison.page import write_page
from fedmvp_flwr.comparison.runner import settings_of


@pytest.fixture
def write(tmp_path):
    def write(groups, **file):
        experiment = plan(ExperimentFile.model_validate(file), {}, paths={})
        configs = {c.name: settings_of(c, tmp_path, {}) for c in experiment.cells}
        (path,) = write_page(experiment, groups, configs, tmp_path, "fedmvp")
        return path.read_text(encoding="utf-8")

    return write


def test_the_answer_comes_first(make_group, write):
    group = make_group(mask=0.5, fedmvp=0.75)
    page = write([group], methods=["mask", "fedmvp"], settings={"local-epochs": 3})
    assert page.index("Completion is worth it here") < page.index("<svg")
    assert "FedAvg that masks what is absent" in page
    assert "local-epochs" in page
    assert "+25.0 (" in page
    assert "Over the settings" not in page


def test_a_grid_of_numbers_is_drawn_over_them(make_group, write):
    groups = [
        Group(f"missing-ratio={r}", make_group(mask=r, fedmvp=r).outcomes) for r in (0.25, 0.5)
    ]
    grid = {"missing-ratio": [0.25, 0.5]}
    page = write(groups, methods=["mask", "fedmvp"], grid=grid)
    assert "Over the settings" in page
    assert "Accuracy over missing-ratio, complete." in page


def test_names_are_escaped(make_group, write):
    group = make_group(mask=0.5, fedmvp=0.75)
    group.outcomes["<b>"] = group.outcomes["mask"]
    assert "<b></th>" not in write([group], methods=["mask", "fedmvp"])
