"""What the router tells feedback, and what it has learned from it."""
