"""Pre-training of the embedded models: `python -m fedmvp_assets.build`."""
