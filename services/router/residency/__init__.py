"""Which models are in the memory of a machine."""
