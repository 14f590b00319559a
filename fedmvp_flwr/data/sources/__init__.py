"""A layout becomes entries: one file for each layout, and a line in `registry`."""
