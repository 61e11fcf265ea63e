"""Limits that both ends of a connection must agree on."""

# A block is a few hundred bytes, a prompt of 100,000 tokens under half a megabyte.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
