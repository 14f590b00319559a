"""Whether a folder holds a whole model; nothing is loaded."""
