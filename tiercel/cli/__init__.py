"""The command line: thin commands over the router's client and the supervisor."""
