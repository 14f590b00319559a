"""Entries become checked samples, whatever the layout was."""
