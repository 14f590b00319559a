"""Frozen models: what each role must do, and which adapter loads it. Imports no library."""
