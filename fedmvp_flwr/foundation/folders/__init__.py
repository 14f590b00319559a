"""Finds the folder of a frozen model and looks at its files; knows nothing of models."""
