"""Speed and acceptance of plans over a file of prompts, measured through the running services."""
