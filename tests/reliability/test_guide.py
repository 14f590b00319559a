"""The runner of the guide, on pages of its own that start no Flower process."""

import sys

import pytest

from fedmvp_flwr.simulation.processes import find_marked
from reliability.blocks import GuideError, steps
from reliability.checks import CHECKS
from reliability.guide import check, main
from reliability.guide_machines import Guide
from reliability.processes import wait_for


@pytest.fixture
def follow(tmp_path):
    guides = []

    def run(page, *machines):
        guide = Guide(tmp_path, list(machines))
        guides.append(guide)
        for step in steps(page):
            guide.run(step)
        return guide

    yield run
    for guide in guides:
        guide.stop()


def block(where, text):
    return f"<!-- run: {where} -->\n```sh\n{text}\n```\n"


def test_blocks_of_one_machine_are_pasted_into_one_shell(follow, tmp_path):
    page = block("a", "export MARK='two words'; mkdir -p /srv/fedmvp/sub; cd /srv/fedmvp/sub")
    page += block("a", 'echo "$MARK" > here') + block(
        "b", 'echo "${MARK:-none}" > /srv/fedmvp/mark'
    )
    follow(page, "a", "b")
    assert (tmp_path / "a" / "sub" / "here").read_text() == "two words\n"
    assert (tmp_path / "b" / "mark").read_text() == "none\n"


def test_what_is_copied_between_machines_arrives(follow, tmp_path):
    follow(block("a", "echo x > /srv/fedmvp/f; scp /srv/fedmvp/f b:/srv/fedmvp/g"), "a", "b")
    assert (tmp_path / "b" / "g").read_text() == "x\n"


@pytest.mark.parametrize("text", ["false", "false; true", "false | cat", "echo $UNKNOWN"])
def test_a_command_that_fails_ends_it(follow, text):
    with pytest.raises(GuideError, match="line 1 on a ended with"):
        follow(block("a", text), "a")


def test_a_service_stays_and_is_started_again_and_a_job_is_not(follow):
    guide = follow(
        block("a, service keeper", "sleep 60") + block("a, job once", "echo $$; exit 3"), "a"
    )
    keeper, once = guide.services["keeper"], guide.services["once"]
    wait_for("the end of the job", lambda: once.code is not None, 30.0, 0.05)
    assert (once.code, once.restart) == (3, False)
    CHECKS["kill"](guide, "keeper")
    assert set(guide.services) == {"keeper"}  # the job may fail with what it needed
    wait_for("the restart", lambda: keeper.starts == 2 and keeper.code is None, 30.0, 0.05)
    guide.stop()
    assert keeper.code is not None


def test_what_left_its_session_is_ended_too(follow, tmp_path):
    guide = follow(block("a, service keeper", "setsid sleep 60 & sleep 60"), "a")
    wait_for("all processes", lambda: len(find_marked(str(tmp_path))) >= 3, 30.0, 0.05)
    guide.stop()
    assert find_marked(str(tmp_path)) == []


def test_a_service_that_must_be_refused(follow):
    guide = follow(block("a, service keeper", "echo '[code: 2004] no'; exit 1"), "a")
    CHECKS["stop"](guide, "keeper")
    CHECKS["refused"](guide, "keeper", "[code:", "2004]")
    with pytest.raises(GuideError, match="without '\\[code: 2001\\]'"):
        CHECKS["refused"](guide, "keeper", "[code:", "2001]")


def test_a_check_that_nobody_knows(follow):
    (step,) = steps("<!-- check: nonsense 3 -->")
    with pytest.raises(GuideError, match="nonsense"):
        check(follow("", "a"), step)


@pytest.mark.parametrize(("last", "status"), [("true", 0), ("exit 7", 1)])
def test_the_outcome_and_the_reason(tmp_path, monkeypatch, capfd, last, status):
    page = tmp_path / "page.md"
    page.write_text(block("a, service keeper", "echo alive; sleep 60") + block("a", last))
    monkeypatch.setattr(
        sys, "argv", ["guide", "--page", str(page), "--keep", str(tmp_path / "kept")]
    )
    assert main() == status
    said = capfd.readouterr().out
    assert ("the guide holds: 2 blocks" in said) == (status == 0)
    if status:
        assert "--- keeper (started 1 x" in said
        assert "line 5 on a ended with 7" in said
