import json
import re
import subprocess
import sys

import pytest

from fedmvp_flwr.base.errors import ReportError
from fedmvp_flwr.reporting import html, write_report, write_report_if_available

SECTIONS = [
    "results", "learning", "graph", "weights", "clients", "completions", "costs", "rejected",
    "settings",
]  # fmt: skip


@pytest.fixture(scope="module")
def page(parse, finished):
    return parse(write_report(finished))


def test_the_sections_come_in_their_order(page):
    assert page.sections == SECTIONS


def test_the_headline_says_what_ran(page):
    for text in ("FedMVP on flora", "completed", "10 (50% per round)", "80%"):
        assert text in page.text


def test_final_scores_are_in_the_table(page, finished):
    result = json.loads((finished / "result.json").read_text())
    for measure in ("accuracy", "macro-f1", "accuracy-with-completion", "macro-f1-with-completion"):
        for value in result[measure].values():
            assert f"{100 * value:.1f}%" in page.text


def test_the_spread_of_the_weights_is_stated_in_words(page, finished):
    lines = (finished / "metrics.jsonl").read_text().splitlines()
    last = [e for e in map(json.loads, lines) if e["event"] == "round"][-1]
    distance = sum(abs(w - 1 / len(last["weights"])) for w in last["weights"]) / 2
    assert f"differ from uniform by {100 * distance:.2f}%" in page.text
    assert "weighting: importance" in page.text


def test_every_round_has_its_map(page):
    alts = [image["alt"] for image in page.all("img")]
    labels = [svg["aria-label"] for svg in page.all("svg")]
    for number in range(1, 31):
        assert sum(f"clients in round {number}:" in text for text in alts + labels) == 1
    assert sum("CKA between" in text for text in labels) == 3


def test_counts_hashes_and_rejections_appear(page):
    assert "551 and rejected 49" in page.text  # 10 clients: 600 images, 49 below the gate
    assert "head.weight" in page.text
    assert "1.32 MB" in page.text
    assert "ab" * 32 in page.text
    assert "violet aster" in page.text


def test_pictures_and_drawings_have_alternatives(page):
    assert all(image.get("alt") for image in page.all("img"))
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.all("svg"))
    assert ("html", {"lang": "en"}) in page.elements


def test_tables_have_captions_and_headers(page):
    tables = len(page.all("table"))
    assert tables > 5
    assert len(page.all("caption")) == tables
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)


def test_the_page_needs_nothing_from_outside(page):
    assert "http" not in page.source
    assert "@import" not in page.source
    assert not page.all("script")
    assert not page.all("link")
    for _, attributes in page.elements:
        assert str(attributes.get("src", "data:")).startswith("data:")
        assert str(attributes.get("href", "#")).startswith(("#", "data:"))
    assert re.findall(r"url\((?!#)", page.source) == []


def test_the_page_is_small_and_suits_dark_and_narrow_screens(page):
    assert len(page.source) < 2_000_000
    assert "prefers-color-scheme: dark" in page.source
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))


def test_a_missing_library_is_named_with_its_extra(finished, monkeypatch):
    present = html.find_spec
    monkeypatch.setattr(html, "find_spec", lambda n: None if n == "matplotlib" else present(n))
    with pytest.raises(ReportError, match=r"needs matplotlib.*fedmvp-flwr\[report\]"):
        write_report(finished)
    assert write_report_if_available(finished) is None


def test_importing_loads_no_plotting_library():
    code = (
        "import sys, fedmvp_flwr.reporting; "
        "sys.exit(str({'matplotlib', 'jinja2', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "set()"
