"""The Flower ClientApp of FedMVP."""
