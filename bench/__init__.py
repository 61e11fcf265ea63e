"""Measurements: each is a command, `python -m bench.<name>`, that prints what it measured."""
