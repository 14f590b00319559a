"""The Flower ServerApp of FedMVP."""
