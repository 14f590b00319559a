import pytest

from reliability.blocks import Block, Check, GuideError, Names, Untried, steps
from reliability.checks import CHECKS
from reliability.guide import PAGE
from reliability.guide_machines import PREFIX

PAGE_TEXT = """# A guide

<!-- run: server -->
```sh
one
two
```
Text.

<!-- run: node-0 node-1, service -->
```sh
start node-0
```
<!-- check: online 2 -->
<!-- run: server, job training -->
```sh
long
```
<!-- not run: it needs a cluster -->
```sh
never
```
```toml
left = "alone"
```
"""


def test_the_steps_of_a_page_in_their_order():
    assert steps(PAGE_TEXT) == [
        Block(3, ("server",), "command", "", "one\ntwo\n"),
        Block(10, ("node-0", "node-1"), "service", "", "start node-0\n"),
        Check(14, "online", ("2",)),
        Block(15, ("server",), "job", "training", "long\n"),
        Untried(19, "it needs a cluster"),
    ]


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("```sh\nls\n```\n", "line 1: a block that says neither"),
        ("```\nls\n```\n", "line 1: a block that says neither"),
        ("<!-- run: server -->\ntext\n", "line 1: no block follows"),
        ("<!-- run: a -->\n<!-- run: b -->\n```sh\nls\n```\n", "line 1: no block follows"),
        ("<!-- run: server -->\n```sh\nls\n", "line 2: the block does not end"),
        ("<!-- run: server, daemon x -->\n```sh\nls\n```\n", "'daemon' is neither"),
        ("<!-- run: , job x -->\n```sh\nls\n```\n", "on which machine"),
    ],
)
def test_a_page_in_another_form_is_refused(page, why):
    with pytest.raises(GuideError, match=why):
        steps(page)


def test_names_are_exchanged_and_nothing_else():
    names = Names(
        "/srv/x",
        {"desk": "/t/desk", "node-0": "/t/node-0", "node-1": "/t/node-1"},
        {"link.example": "localhost", ":8000": ":1234"},
    )
    copy = Block(1, ("desk",), "command", "", "scp /srv/x/a node-1:/srv/x/b && echo $A 8000\n")
    assert names.on("desk", copy) == "scp /t/desk/a /t/node-1/b && echo $A 8000\n"
    start = Block(
        1, ("node-0", "node-1"), "service", "", "go node-0 /srv/x/node-0 link.example:8000"
    )
    assert names.on("node-0", start) == "go node-0 /t/node-0/node-0 localhost:1234"
    assert names.on("node-1", start) == "go node-1 /t/node-1/node-1 localhost:1234"


def test_the_deployment_guide_can_be_run():
    todo = steps(PAGE.read_text(encoding="utf-8"))
    blocks = [step for step in todo if isinstance(step, Block)]
    services = {b.name for b in blocks if b.name} | {
        m for b in blocks if b.kind == "service" and not b.name for m in b.machines
    }
    assert len(blocks) > 20
    for step in todo:
        if isinstance(step, Check):
            assert step.name in CHECKS, step
            if step.name in ("kill", "stop", "again", "refused"):
                assert step.arguments[0] in services, step
    # What is written lies below the one folder that is exchanged.
    assert not [b for b in blocks if "~" in b.text or "/tmp" in b.text]
    assert any(PREFIX in b.text for b in blocks)


def test_the_guide_shows_each_thing_that_it_must():
    checks = {step.name for step in steps(PAGE.read_text()) if isinstance(step, Check)}
    assert checks >= {"online", "kill", "completed", "clients", "refused", "renewed", "resumed"}
