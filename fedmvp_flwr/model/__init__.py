"""The joint encoder and its losses: pure torch."""
