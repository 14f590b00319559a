"""Flower's SuperNode, which ends once it has stopped working.

Its arguments are those of `flower-supernode`. Whatever error leaves the loop in which Flower 1.41
asks for messages is logged and then forgotten: the loop has ended, but a thread of the node's own
API keeps the process alive, and no restart policy helps. Here the process ends with it.
"""

import os
import sys

from flwr.supernode.cli import flower_supernode

_DEAD = 1  # exit status


def main() -> None:
    """Run the SuperNode; it ends in good order by an exit of its own, and never returns."""
    flower_supernode()
    sys.stdout.write("fedmvp: the SuperNode asks for messages no more; it is ended.\n")
    sys.stdout.flush()
    os._exit(_DEAD)  # the thread of its API would be waited for


if __name__ == "__main__":
    main()
