"""Which of two answers is better where no reference says so: people and tiers are asked."""
