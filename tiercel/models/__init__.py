"""Models by name: where their weights and tokenizers come from, and what is in them."""
