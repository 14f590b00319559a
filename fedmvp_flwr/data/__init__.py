"""Data sets, partitions and missing modalities."""
