"""Runs docs/deploy.md as it stands: `python -m reliability.guide`.

Every machine of the guide is a folder of this machine; paths, host names and ports are exchanged,
nothing else. Real processes, with TLS and authentication. It ends with 1 and says why if a command
fails or if what the guide promises does not happen.
"""

import argparse
import sys
import time
from pathlib import Path

from reliability.blocks import Block, Check, GuideError, Untried, steps
from reliability.checks import CHECKS
from reliability.federation import REPOSITORY, temporary_folder
from reliability.guide_machines import Guide
from reliability.processes import end_on_sigterm

PAGE = REPOSITORY / "docs" / "deploy.md"


def main() -> int:
    """Run the guide; 0 if all went as it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    arguments = parser.parse_args()
    todo = steps(arguments.page.read_text(encoding="utf-8"))
    machines = dict.fromkeys(m for s in todo if isinstance(s, Block) for m in s.machines)
    began = time.monotonic()
    with temporary_folder() as temporary:
        root = (arguments.keep or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        guide = Guide(root, list(machines))
        try:
            for step in todo:
                say(time.monotonic() - began, step)
                if isinstance(step, Block):
                    guide.run(step)
                elif isinstance(step, Check):
                    check(guide, step)
        except (GuideError, TimeoutError) as error:
            print(f"{guide.tails()}--- the guide does not hold: {error}", flush=True)
            return 1
        finally:
            guide.stop()
    untried = [step for step in todo if isinstance(step, Untried)]
    for step in untried:
        print(f"not run: line {step.line} ({step.reason})")
    blocks = sum(isinstance(step, Block) for step in todo)
    print(f"the guide holds: {blocks} blocks in {time.monotonic() - began:.0f} s")
    return 0


def check(guide: Guide, step: Check) -> None:
    """Do what stands between two blocks.

    Raises:
        GuideError: there is no such check, or it does not hold.
        TimeoutError: what it waits for does not happen.
    """
    if step.name not in CHECKS:
        raise GuideError(f"line {step.line}: no check is called '{step.name}'")
    try:
        CHECKS[step.name](guide, *step.arguments)
    except (GuideError, TimeoutError) as error:
        raise GuideError(f"line {step.line}, {step.name}: {error}") from error


def say(seconds: float, step: Block | Check | Untried) -> None:
    """Tell what comes next."""
    if isinstance(step, Block):
        print(f"[{seconds:.0f} s] line {step.line} on {', '.join(step.machines)}", flush=True)
    elif isinstance(step, Check):
        print(f"[{seconds:.0f} s] {step.name} {' '.join(step.arguments)}", flush=True)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
