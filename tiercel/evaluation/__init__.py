"""What every plan answers to the prompts of the evaluation sets, and how good it is."""
