"""Answers to faults of Flower's processes, each with its version. Imports `base` alone."""
