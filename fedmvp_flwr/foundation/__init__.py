"""Frozen foundation models, one adapter per library."""
