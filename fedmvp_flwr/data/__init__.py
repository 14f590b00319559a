"""From a layout on disk to the samples of each client."""
