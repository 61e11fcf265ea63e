"""The drafter: one tier that only drafts, with a small model or with none."""
