"""Trains small frozen models on public data, offline."""
