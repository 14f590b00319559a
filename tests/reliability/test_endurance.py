"""How growth over many rounds is measured and told."""

import json
import re
import subprocess
import sys

import pytest

from reliability.endurance import (
    _PAGES,
    BEGIN,
    END,
    cpu_seconds,
    main,
)
from reliability.growth import LIMITS, MIN_ROUNDS, grown, report, slope


def rows(count):
    return [
        {
            "round": float(n),
            "seconds": 10.0 * n,
            "cpu node-0": 1.5 * n,
            "cpu superlink": 0.5 * n,
            "memory superlink flower-superlink": 2.0**20 * 100,
            "files node-0 flower-supernode": 20.0 + n,
            "disk results": 1000.0 * n,
        }
        for n in range(1, count + 1)
    ]


def test_growth_is_per_round():
    samples = rows(50)
    assert slope(samples, "disk results") == pytest.approx(1000)
    assert slope(samples, "files node-0 flower-supernode") == pytest.approx(1)
    assert slope(samples, "memory superlink flower-superlink") == 0
    assert slope(samples[:1], "disk results") == 0


def test_the_table_tells_what_grows():
    table = report(rows(41))
    assert (
        "41 rounds in 7 minutes, 10 s and 2.0 CPU seconds a round; growth from round 5 on" in table
    )
    assert (
        "| memory: superlink flower-superlink | 100.0 MiB | 100.0 MiB | 100.0 MiB | +0.0 kB |"
        in table
    )
    assert "| files: node-0 flower-supernode | 25 | 41 | 61 | +1.00 |" in table
    assert "| disk: results | 0.0 MiB | 0.0 MiB | 0.0 MiB | +1.0 kB |" in table
    assert report([]) == "No round was finished.\n"


MEMORY, FILES, DISK = "memory node-0 flower-supernode", "files superlink x", "disk results"


def flat(count=MIN_ROUNDS, **more):
    """Rounds in which nothing grows but what is given: a function of the round, by column."""
    level = {MEMORY: lambda n: 2.0**20 * 140, FILES: lambda n: 38.0, DISK: lambda n: 1e6}
    return [
        {"round": float(n), "seconds": 10.0 * n, "cpu node-0": 16.0 * n}
        | {name: value(n) for name, value in (level | more).items()}
        for n in range(1, count + 1)
    ]


def rising(name, per_round):
    return flat(**{name: lambda n: 1e6 + per_round * n})


@pytest.mark.parametrize(
    ("name", "said", "figures"),
    [
        (MEMORY, "memory of node-0 flower-supernode grew by", ("+70.4 kB", "+64.0 kB")),
        (FILES, "files of superlink x grew by", ("+0.06", "+0.05")),
        (DISK, "disk of results grew by", ("+22.0 kB", "+20.0 kB")),
    ],
)
def test_growth_beyond_its_limit_is_named(name, said, figures):
    limit = LIMITS[name.partition(" ")[0]]
    (problem,) = grown(rising(name, 1.1 * limit))
    assert problem.startswith(said)
    assert all(figure in problem for figure in figures)
    assert grown(rising(name, 0.9 * limit)) == []
    assert grown(rising(name, -5 * limit)) == []


def test_few_rounds_are_not_judged():
    samples = rising(MEMORY, 1e6)
    assert grown(samples[: MIN_ROUNDS - 1]) == []
    assert grown(samples)
    assert grown([]) == []


@pytest.mark.parametrize("at", [15, 54, 95])
def test_a_step_is_no_growth_wherever_it_is(at):
    step = flat(**{MEMORY: lambda n: 4e7 * (n > at), FILES: lambda n: 38.0 + 3 * (n > at)})
    assert slope(step, MEMORY) > LIMITS["memory"]
    assert grown(step) == []


def test_what_rises_in_the_warm_up_is_no_growth():
    assert grown(flat(**{DISK: lambda n: 1e6 * min(n, 10)})) == []


def test_what_was_away_for_some_rounds_is_judged_by_the_others():
    away = rising(MEMORY, 1e5)
    for sample in away[30:50]:
        sample[MEMORY] = float("nan")
    (problem,) = grown(away)
    assert "+100.0 kB" in problem
    assert slope(away, MEMORY) == pytest.approx(1e5)
    for sample in away[50:80]:
        sample[MEMORY] = float("nan")
    (problem,) = grown(away)
    assert problem == "memory of node-0 flower-supernode was there after 40 rounds only"


def test_the_measured_growth_is_far_below_the_limits():
    page = (_PAGES / "reliability.md").read_text()
    table = page.partition(BEGIN)[2].partition(END)[0]
    rows = re.findall(r"^\| (\w+): .*\| ([+-][\d.]+)( kB)? \|$", table, re.MULTILINE)
    assert {kind for kind, _, _ in rows} == LIMITS.keys()
    for kind, number, kilo in rows:
        assert float(number) * (1000 if kilo else 1) < LIMITS[kind] / 2


def told(monkeypatch, capsys, tmp_path, samples):
    """Exit status of `--report` on these samples, and what it says in the end."""
    path = tmp_path / "samples.csv"
    lines = [samples[0].keys(), *(map(str, sample.values()) for sample in samples)]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    monkeypatch.setattr(sys, "argv", ["endurance", "--report", str(path)])
    return main(), json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_report_judges_as_well(monkeypatch, capsys, tmp_path):
    good, bad = flat(), rising(DISK, 1e5)
    assert told(monkeypatch, capsys, tmp_path, good) == (0, {"judged": True, "problems": []})
    status, said = told(monkeypatch, capsys, tmp_path, bad)
    assert (status, said["judged"]) == (1, True)
    assert "disk of results" in said["problems"][0]
    few = told(monkeypatch, capsys, tmp_path, bad[:20])
    assert few == (0, {"judged": False, "problems": []})


def test_cpu_counts_children_that_have_ended():
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7))']); "
    with subprocess.Popen(
        [sys.executable, "-c", script + "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        with_child = cpu_seconds([process.pid])
        process.communicate(b"\n")
    assert with_child > 0.05
    assert cpu_seconds([process.pid]) == 0, "it is gone"
