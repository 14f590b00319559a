"""What the server does between messages."""
