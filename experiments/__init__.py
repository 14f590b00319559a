"""Experiments that the documentation quotes, each with its command."""
