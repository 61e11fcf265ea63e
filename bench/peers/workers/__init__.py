"""Processes that answer prompts with one system each; those of peers import nothing of Tiercel."""
