"""What two models answer together, each way of joining them, against each alone."""
