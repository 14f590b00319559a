"""The CKA graph, the strategy and what travels."""
