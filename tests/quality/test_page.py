"""The page of `fedmvp quality`: what it shows, what it holds back, and that it trusts nothing."""

import json
import re
from dataclasses import replace

from fedmvp_flwr.quality import distances
from fedmvp_flwr.quality.comparison import run_quality
from fedmvp_flwr.quality.page import write_quality


def test_the_page_and_the_numbers(both, tmp_path):
    path, page = write_quality(tmp_path / "new", both)
    numbers = json.loads(path.read_text())
    assert numbers["coarse"]["overall"] == both["coarse"].numbers["overall"]
    assert len(numbers["coarse"]["rows"]) == 24
    text = page.read_text()
    assert text.count("data:image/png;base64") == 2 * 2 * 24
    assert "http" not in text.replace("http-equiv", "")
    for word in ("coarse-to-fine", "KID", "ROUGE-L"):
        assert word in text


def test_the_page_shows_24_pairs_of_more(config, tmp_path):
    other = config.changed(completion="retrieval")
    result = run_quality(other, num_samples=30)["retrieval"]
    assert (len(result.rows), len(result.pairs)) == (30, 24)
    assert [row["key"] for row in result.rows[:24]] == [p.sample.key for p in result.pairs]
    write_quality(tmp_path, {"retrieval": result})
    assert "The first 24 pairs" in (tmp_path / "quality.html").read_text()


def test_a_page_trusts_no_text(config, both, tmp_path):
    result = both["coarse"]
    evil = "<script>alert(1)</script>"
    pairs = tuple(replace(pair, text=evil) for pair in result.pairs)
    _, page = write_quality(tmp_path, {evil: replace(result, pairs=pairs)})
    assert "<script>" not in page.read_text()


def by_class(page):
    """Cells of the table by class, by the title of the column."""
    table = page.read_text().split("<h3>By class</h3>")[1].split("</table>")[0]
    rows = [re.findall(r"<t[dh][^>]*>([^<]*)<", row) for row in table.split("<tr>")[1:]]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def test_images_of_a_class_are_measured_where_it_has_enough_pairs(config, tmp_path, monkeypatch):
    monkeypatch.setattr(distances, "LEAST_FOR_KID", 2)
    monkeypatch.setattr(distances, "LEAST_FOR_FRECHET", 4)
    other = config.changed(completion="retrieval")
    results = run_quality(other, num_samples=30)
    path, page = write_quality(tmp_path, results)
    classes = json.loads(path.read_text())["retrieval"]["per-class"]
    pairs = {group["pairs"] for group in classes.values()}
    assert {1, 2} <= pairs
    rows = {row["class"]: row for row in by_class(page)}
    assert set(rows) == set(classes)
    for name, group in classes.items():
        for key, title, least in (
            ("kid", "KID of made to true images", 2),
            ("frechet", "Fréchet distance of made to true images", 4),
            ("frechet-of-real", "Fréchet distance among true images", 4),
        ):
            assert (group[key] is None) == (group["pairs"] < least)
            shown = "\N{EN DASH}" if group[key] is None else f"{group[key]:.3g}"
            assert rows[name][title] == shown


def test_few_pairs_of_a_class_are_not_measured(both, tmp_path):
    result = both["coarse"]
    for group in result.numbers["per-class"].values():
        assert group["kid"] is group["frechet"] is group["frechet-of-real"] is None
        assert group["rouge-l"] is not None
    _, page = write_quality(tmp_path, {"coarse": result})
    text = " ".join(page.read_text().split())
    assert "KID is told from 10 pairs on and the Fréchet distance from 20" in text
    assert {row["KID of made to true images"] for row in by_class(page)} == {"\N{EN DASH}"}


def test_long_texts_are_cut_on_the_page_alone(both, tmp_path):
    result = both["coarse"]
    long = "petal " * 100
    pairs = (replace(result.pairs[0], text=long), *result.pairs[1:])
    path, page = write_quality(tmp_path, {"coarse": replace(result, pairs=pairs)})
    (shown,) = re.findall(r"<p class=made>(petal [^<]*)</p>", page.read_text())
    assert shown.endswith("…")
    assert len(shown) == 240
    assert path.read_text().count("…") == 0


def test_what_was_not_made_is_left_out(both, tmp_path):
    result = both["coarse"]
    pairs = (replace(result.pairs[0], image=None, text=None), *result.pairs[1:])
    _, page = write_quality(tmp_path, {"coarse": replace(result, pairs=pairs)})
    assert page.read_text().count("data:image/png;base64") == 2 * 24 - 1
    assert "None" not in page.read_text()
