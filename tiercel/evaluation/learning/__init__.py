"""Online learners on replayed requests: regret, recovery from changes, coverage of harm."""
