import json

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing.partition import assign

pytest.importorskip("flwr_datasets", reason="the partitioners come with the extra 'data'")

SIZES = {"north": 10, "south": 6, "east": 5, "west": 3}


def samples(prefix, owners):
    return [Sample(f"{prefix}{i}", i % 2, None, "t", owner) for i, owner in enumerate(owners)]


TRAIN = samples("a", [owner for owner, count in SIZES.items() for _ in range(count)])
TEST = samples("b", ["west", "north", "south", "nobody's", None, "east"])


def by_column(clients, train=TRAIN, test=TEST):
    return assign(train, test, "column:site", clients, 0)


def owners_of(part, data):
    return {data[i].owner for i in part}


def test_an_owner_for_each_client():
    dealt = by_column(4)
    assert [owners_of(part, TRAIN) for part in dealt.train] == [{n} for n in SIZES]
    assert sorted(i for part in dealt.train for i in part) == list(range(24))


def test_small_owners_share_a_client():
    dealt = by_column(2)
    assert [owners_of(part, TRAIN) for part in dealt.train] == [
        {"north", "west"},
        {"south", "east"},
    ]


def test_held_out_samples_stay_with_their_owner():
    dealt = by_column(4)
    homes = {i: client for client, part in enumerate(dealt.test) for i in part}
    assert sorted(homes) == list(range(6))
    assert (homes[0], homes[1], homes[2], homes[5]) == (3, 0, 1, 2)


def test_too_few_owners_and_samples_without():
    with pytest.raises(DataError, match="names 4 owners, too few for 5"):
        by_column(5)
    with pytest.raises(DataError, match="1 of 3 training samples have no value"):
        by_column(2, samples("a", ["a", None, "b"]))
    with pytest.raises(DataError, match="at least 2 clients"):
        by_column(1)


def test_a_saved_split_is_dealt_again(tmp_path):
    saved = assign(TRAIN, TEST, "iid", 3, 0)
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": saved.train, "test": saved.test}))
    again = f"file:{path}"
    assert assign(TRAIN, TEST, again, 3, 9) == saved
    with pytest.raises(DataError, match=r"client.*2, there are 2"):
        assign(TRAIN, TEST, again, 2, 9)
    with pytest.raises(DataError, match=r"gives the clients \[3\] no training"):
        assign(TRAIN, TEST, again, 4, 9)
    with pytest.raises(DataError, match="saved for other data"):
        assign(TRAIN[:-1], TEST, again, 3, 9)
    with pytest.raises(DataError, match="to nobody, for example \\['x0'"):
        assign([*TRAIN, *samples("x", [None])], TEST, again, 3, 9)


def test_a_table_of_keys(tmp_path):
    path = tmp_path / "owners.csv"
    lines = ["key,client", *(f"a{i},{i % 3}" for i in range(24)), "b1,2", "of other data,0"]
    path.write_text("\n".join(lines))
    dealt = assign(TRAIN, TEST, f"file:{path}", 3, 0)
    assert dealt.train[1] == list(range(1, 24, 3))
    assert 1 in dealt.test[2]
    assert sorted(i for part in dealt.test for i in part) == list(range(6))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("key,owner\na,1\n", "needs the columns key, client"),
        ("key,client\na0,1\na0,1\n", "csv:3: 'a0' is named twice"),
        ("key,client\na0,x\n", "csv:2: 'x' is no client number"),
        ("key,client\na0\n", "csv:2: 1 cells, expected 2"),
        ("key,client\na0,0\n", "23 of 24 training samples to nobody"),
    ],
)
def test_broken_tables(tmp_path, content, message):
    path = tmp_path / "owners.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        assign(TRAIN, TEST, f"file:{path}", 3, 0)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"train": [[0]]}',
        '{"train": 1, "test": 2}',
        '{"train": [[0, -1]], "test": [[]]}',
        '{"train": [[0, 1.5]], "test": [[]]}',
        '{"train": ["01"], "test": [[]]}',
        '{"train": [[true]], "test": [[]]}',
    ],
)
def test_broken_records(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(content)
    with pytest.raises(DataError, match="no saved split"):
        assign(TRAIN, TEST, f"file:{path}", 3, 0)


def test_a_negative_number_is_named(tmp_path):
    path = tmp_path / "split.json"
    path.write_text('{"train": [[0, -1]], "test": [[]]}')
    with pytest.raises(DataError, match=r"train\.0\.1: Input should be greater than or equal to 0"):
        assign(TRAIN, TEST, f"file:{path}", 2, 0)


def test_keys_of_a_table_may_have_any_character(tmp_path):
    path = tmp_path / "owners.csv"
    train = [Sample(key, 0, None, "t") for key in ("a\u2028b", "c")]
    path.write_text("key , client\na\u2028b, 1 \n c ,0\n", encoding="utf-8")
    assert assign(train, [], f"file:{path}", 2, 0).train == [[1], [0]]


def test_a_record_that_deals_twice_or_is_not_there(tmp_path):
    path = tmp_path / "split.json"
    path.write_text('{"train": [[0, 1], [1]], "test": [[], []]}')
    with pytest.raises(DataError, match="twice"):
        assign(TRAIN, TEST, f"file:{path}", 2, 0)
    with pytest.raises(DataError, match="cannot be read"):
        assign(TRAIN, TEST, f"file:{tmp_path}/gone.csv", 2, 0)
