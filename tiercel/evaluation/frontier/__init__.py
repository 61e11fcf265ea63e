"""Quality against cost of routing policies, replayed on the outcome matrix."""
