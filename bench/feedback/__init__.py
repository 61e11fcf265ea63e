"""What feedback takes: events a second, time in Redis, memory; and what its absence costs."""
