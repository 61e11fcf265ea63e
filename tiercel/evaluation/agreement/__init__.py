"""How far tiers agree, and what their agreement says of the target and of the answer."""
