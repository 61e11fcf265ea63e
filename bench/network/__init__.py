"""What a network between drafter and verifier costs, with and without drafting ahead."""
