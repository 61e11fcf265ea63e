"""Work on answers that have ended: audits, and what idle drafters would have drafted."""
