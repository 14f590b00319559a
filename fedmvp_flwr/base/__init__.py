"""What everything stands on: errors, seeds, files, samples, features. Imports nothing of ours."""
