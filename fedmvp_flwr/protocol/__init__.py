"""What client and server say to each other: names of messages, summaries, scores."""
