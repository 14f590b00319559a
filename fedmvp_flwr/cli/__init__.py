"""Words on a terminal: the command `fedmvp`."""
