"""Federated digits with the strategy FedMVP."""
