"""Completion of missing modalities by frozen models, the feature store and the quality gate."""
