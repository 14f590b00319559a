import io
from pathlib import Path

from rich.console import Console, RenderableType

from fedmvp_flwr.simulation.launcher import SimulationOutcome
from fedmvp_flwr.simulation.outcome_view import (
    list_files,
    render_error,
    render_failure,
    render_result,
)


def _text(renderable: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(renderable)
    return out.getvalue()


def test_lists_the_files_that_exist(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("")
    (tmp_path / "run.log").write_text("")
    assert [line.split() for line in list_files(tmp_path)] == [
        ["report", str(tmp_path / "report.html")],
        ["log", str(tmp_path / "run.log")],
    ]


def test_shows_scores_sizes_and_times() -> None:
    scores = {"complete": 0.9, "image-only": 0.8, "text-only": 0.705}
    result = {
        "status": "completed",
        "accuracy": scores,
        "macro-f1": scores,
        "accuracy-with-completion": {"image-only": 0.85, "text-only": 0.75},
        "bytes": {"upload-per-client-round": 1_234_567, "download-per-client-round": 2_000_000},
        "seconds": {"completion": 61.04, "total": 100.0, "training": 9.0},
        "completions": {"image": {"made": 5, "reused": 7, "rejected": 1}},
    }
    text = _text(render_result(result))
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    cells = {name: [cell.strip() for cell in row.split("│")[2:5]] for name, row in rows.items()}
    assert cells["accuracy"] == ["90.0%", "80.0%", "70.5%"]
    assert cells["accuracy, with completion"] == ["", "85.0%", "75.0%"]
    assert "macro-F1, with completion" not in rows
    assert "1.23 MB per client and round" in text
    assert "completion 61.0, training 9.0, total 100.0" in text
    assert "5 made, 7 reused, 1 rejected" in text


def test_an_empty_result_has_no_table() -> None:
    assert _text(render_result({})).strip() == ""


def _failure(out: Path, details: str) -> str:
    return _text(render_failure(SimulationOutcome(details, "7", out)))


def test_a_failure_shows_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("\n".join(f"line {i} [x]" for i in range(40)))
    text = _failure(tmp_path, "because [of] this")
    assert "because [of] this" in text
    assert "line 39 [x]" in text
    assert "line 20 " not in text


def test_an_own_error_needs_no_log(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("Traceback\nFedMVP error: bad data\nmore")
    text = _failure(tmp_path, "bad data")
    assert "bad data" in text
    assert "Traceback" not in text
    assert "run.log" in text


def test_an_error_is_shown_as_it_is() -> None:
    assert "unknown [key]" in _text(render_error("Wrong", "unknown [key]"))
