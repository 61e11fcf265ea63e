"""What another policy would have been worth, from the decisions of the one that ran."""
