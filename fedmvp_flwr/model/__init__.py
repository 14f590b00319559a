"""Tensors in, tensors out: joint encoder, losses, training, evaluation. No file, no message."""
