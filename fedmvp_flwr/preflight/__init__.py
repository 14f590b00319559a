"""Finds what is wrong before round 1, and never mends it."""
