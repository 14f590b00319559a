from pathlib import Path

from fedmvp_flwr.simulation.event_tail import EventTail


def test_reads_whole_lines_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = EventTail(path)
    assert tail.read() == []
    with path.open("w") as file:
        file.write('{"event": "a"}\n{"event": ')
        file.flush()
        assert tail.read() == [{"event": "a"}]
        assert tail.read() == []
        file.write('"b"}\n')
        file.flush()
        assert tail.read() == [{"event": "b"}]


def test_skips_what_is_no_event(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\nno json\n\xff\xfe\n{"event": "a"}\n')
    assert EventTail(path).read() == [{"event": "a"}]


def test_a_multibyte_character_cut_in_two(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    data = '{"event": "Blüte"}\n'.encode()
    cut = data.index("ü".encode()) + 1
    tail = EventTail(path)
    path.write_bytes(data[:cut])
    assert tail.read() == []
    path.write_bytes(data)
    assert tail.read() == [{"event": "Blüte"}]


def test_a_file_that_was_cut_off_is_followed_from_its_new_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = EventTail(path)
    path.write_text('{"event": "a"}\n{"event": "b"}\n')
    assert len(tail.read()) == 2
    path.write_text('{"event": "a"}\n')
    assert tail.read() == []
    with path.open("a") as file:
        file.write('{"event": "c"}\n')
    assert tail.read() == [{"event": "c"}]
