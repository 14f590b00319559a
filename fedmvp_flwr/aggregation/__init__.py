"""The reusable strategy: any Flower project can use it. Imports flwr, torch and `base` alone."""
