"""Samples go to clients, and lose modalities."""
