"""What a node does for a message."""
