from fedmvp_flwr.config import RunConfig
from fedmvp_flwr.reporting.run_record import RunRecord
from fedmvp_flwr.reporting.sections.settings import build


def test_keys_come_in_the_documented_order_with_the_default_where_it_differs():
    config = RunConfig.of(seed=7, tensorboard=True).to_run_config()
    found = build(RunRecord(config=config))
    rows = {row[0]: row[1:] for row in found.config.rows}
    assert list(rows) == list(RunConfig.keys())
    assert rows["seed"] == ["7", "0"]
    assert rows["tensorboard"] == ["true", "false"]
    assert rows["out-dir"] == ["(empty)", ""]
    assert found.changed == 2


def test_a_key_of_another_version_comes_last_and_has_no_default():
    found = build(RunRecord(config={"gone": 1, "seed": 0}))
    assert [row[0] for row in found.config.rows] == ["seed", "gone"]
    assert found.changed == 0


def test_versions_and_hashes_by_name():
    found = build(RunRecord(versions={"torch": "2", "flwr": None}, hashes={"split": "ab"}))
    assert found.versions.rows == [["flwr", "\N{EN DASH}"], ["torch", "2"]]
    assert found.hashes.rows == [["split", "ab"]]


def test_nothing_is_known():
    found = build(RunRecord())
    assert (found.config, found.versions, found.hashes, found.changed) == (None, None, None, 0)
