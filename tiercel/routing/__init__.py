"""Choosing a plan for a request: forecasts in, the odds of each plan out. Knows no transport."""
