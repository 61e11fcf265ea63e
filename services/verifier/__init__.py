"""The verifier: one model tier that answers, verifies, and drafts for larger ones."""
