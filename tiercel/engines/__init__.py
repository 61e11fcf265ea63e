"""Engines: ways to run a language model. Each is loaded lazily, by name, through `load`."""
