"""The commands of `fedmvp`, one module per group; `fedmvp_flwr.cli` puts them together."""
