"""Tiercel through its real services against other systems, on the same prompts and weights."""
