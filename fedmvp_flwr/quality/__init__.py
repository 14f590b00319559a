"""Measures completions against the truth, offline."""
