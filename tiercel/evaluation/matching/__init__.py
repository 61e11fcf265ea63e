"""Where a drafter's own choice is the answer's next token, at every position of stored answers."""
