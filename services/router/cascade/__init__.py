"""Answers that a larger plan may take over in their middle."""
