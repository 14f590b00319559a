"""Input of other people: hostile names, strange files, long runs, other runs."""

import json

import pytest
from PIL import Image

from fedmvp_flwr.reporting import write_report

pytestmark = pytest.mark.slow

HOSTILE = '<script>alert("x")</script>'


def test_long_runs_stay_small(parse, new_run):
    run = new_run(rounds=300, clients=20)
    run.start()
    for number in range(1, 301):
        run.round(number)
    path = write_report(run.out)
    assert path.stat().st_size < 2_000_000
    assert "300 rounds are shown" in parse(path).text


def test_hostile_names_and_texts_are_shown_and_not_run(parse, new_run):
    run = new_run(rounds=1, class_names=[HOSTILE, "$\\frac{", "\x00\x1b[0m", "x" * 500])
    run.start()
    run.prepare(names={1: HOSTILE})
    run.round(1, rejected=[{"client": 1, "reason": HOSTILE}])
    run.event("evaluation-rejected", round=1, rejected=[{"client": 1, "reason": HOSTILE}])
    run.completions(count=2)
    index = run.out / "completions" / "index.json"
    row = json.loads(index.read_text())["completions"][0]
    row |= {"class-name": '"><img src=x onerror=alert(1)>', "original-text": HOSTILE}
    index.write_text(json.dumps({"completions": [row]}))
    run.finish("failed", reason=HOSTILE)
    page = parse(write_report(run.out))
    assert not page.all("script")
    assert not [a for _, a in page.elements if "onerror" in a]
    shown = [where for data, where in page.texts if "<script>alert" in data]
    assert {where[-1] for where in shown} >= {"p", "td", "text"}
    assert "$\\frac{" in page.source


@pytest.mark.parametrize("name", ["../secret.png", "missing.png", "broken.png"])
def test_pictures_stay_in_their_folder_and_may_be_missing(parse, new_run, name):
    run = new_run()
    run.start()
    run.completions(count=1)
    folder = run.out / "completions"
    (run.out / "secret.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "broken.png").write_bytes(b"no picture")
    row = json.loads((folder / "index.json").read_text())["completions"][0]
    (folder / "index.json").write_text(
        json.dumps({"completions": [{**row, "original-image": name}]})
    )
    page = parse(write_report(run.out))
    assert len(page.all("img")) == 1
    assert "not available" in page.text


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "EPS"])
def test_pictures_of_other_formats_than_a_run_writes_are_not_opened(
    parse, new_run, kind, monkeypatch
):
    drawn = Image.new("RGB", (64, 64)).im
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: drawn)
    run = new_run()
    run.start()
    run.completions(count=1)
    original = run.out / "completions" / "0.png"
    with Image.open(original) as image:
        image.load()
    image.save(original, format=kind)
    page = parse(write_report(run.out))
    assert len(page.all("img")) == 1
    assert "not available" in page.text
