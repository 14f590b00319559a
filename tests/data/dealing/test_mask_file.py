import json
import os
from dataclasses import replace

import pytest

from fedmvp_flwr.base.errors import DataError
from fedmvp_flwr.base.samples import Sample
from fedmvp_flwr.data.dealing import mask_file
from fedmvp_flwr.data.dealing.mask_file import read_mask_file


def samples(count):
    return [Sample(f"s{i}", 0, object(), "t") for i in range(count)]


def test_a_mask_as_a_table_and_real_holes(tmp_path):
    path = tmp_path / "mask.csv"
    path.write_text("key,image,text\ns0,1,0\ns1,yes,True\nother,1,1\ns2,0,1\n")
    data = samples(3)
    made = read_mask_file(path, data)
    assert made.present == {"image": (True, True, False), "text": (False, True, True)}
    data[1] = replace(data[1], image=None)
    assert read_mask_file(path, data).present["image"] == (True, False, False)
    data[0] = replace(data[0], image=None)
    with pytest.raises(DataError, match=r"leaves 1 samples neither image nor text.*'s0'"):
        read_mask_file(path, data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "key,image\na,1\n", "needs the columns key, image, text"),
        ("m.csv", "key,image,text\ns0,1,2\n", "m.csv:2: '2' is neither 0 nor 1"),
        ("m.csv", "key,image,text\ns0,1\n", "m.csv:2: 2 cells, expected 3"),
        ("m.csv", "key,image,text\ns0,1,1\ns0,1,1\n", "m.csv:3: 's0' is named twice"),
        ("m.csv", "key,image,text\ns0,1,1\n", r"does not name 2 of 3 samples.*'s1'"),
        ("m.csv", 'key,image,text\ns0,1,1\n\'x",1,1\n"s1,1,1\n', "m.csv:4: .*Repair that line"),
        ("m.csv", "key,image,text,image\ns0,1,1,1\n", "more than one column 'image'"),
        ("m.json", "{", "no saved mask"),
        ("m.json", "[" * 100_000, "no saved mask"),
        ("m.json", '{"keys": ["a"], "present": {"image": ["x"], "text": [1]}}', "boolean"),
        (
            "m.json",
            '{"keys": ["a"], "present": {"image": [2], "text": [1]}}',
            r"present\.image\.0: Input should be a valid boolean",
        ),
        ("m.json", '{"keys": ["a"], "present": {"image": "1", "text": [1]}}', "image: .* array"),
        ("m.json", '{"keys": ["s0"]}', "no saved mask"),
        ("m.json", '{"keys": ["a"], "present": {"image": [], "text": [1]}}', "no saved mask"),
    ],
)
def test_mask_files_that_cannot_be_used(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_mask_file(path, samples(3))


def test_any_line_separator_but_the_feed_is_part_of_a_key(tmp_path):
    path = tmp_path / "mask.csv"
    path.write_text('key; image; text\n a\u2028b ; 1 ; 0\n"c\u0085\nd";0;1\n', encoding="utf-8")
    data = [Sample(key, 0, object(), "t") for key in ("a\u2028b", "c\u0085\nd")]
    assert read_mask_file(path, data).present == {"image": (True, False), "text": (False, True)}


def test_true_and_false_of_a_record(tmp_path):
    path = tmp_path / "mask.json"
    path.write_text('{"keys": ["s0"], "present": {"image": [true], "text": [false]}}')
    assert read_mask_file(path, samples(1)).present == {"image": (True,), "text": (False,)}


def test_a_mask_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "mask.csv"
    path.write_text("key,image,text\ns0,1,0\ns1,1,0\n")
    reads = []
    read = mask_file.read_text
    monkeypatch.setattr(mask_file, "read_text", lambda *args: reads.append(args) or read(*args))
    for client in (0, 1):
        made = read_mask_file(path, samples(2)[client : client + 1])
        assert made.present == {"image": (True,), "text": (False,)}
    assert len(reads) == 1
    path.write_text("key,image,text\ns0,0,1\n")
    os.utime(path, (1, 1))
    assert read_mask_file(path, samples(1)).present == {"image": (False,), "text": (True,)}


def test_contradictory_and_missing_mask_files(tmp_path):
    path = tmp_path / "mask.json"
    one = {"keys": ["s0"], "present": {"image": [1], "text": [0]}}
    path.write_text(json.dumps([one, {**one, "present": {"image": [0], "text": [1]}}]))
    with pytest.raises(DataError, match="'s0' twice, with different holes"):
        read_mask_file(path, samples(1))
    with pytest.raises(DataError, match="cannot be read"):
        read_mask_file(tmp_path / "gone.csv", samples(1))
