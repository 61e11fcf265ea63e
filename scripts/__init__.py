"""The project's own build steps; `make` calls them, nothing that is installed imports them."""
