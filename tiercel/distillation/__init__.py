"""Distillation: records what a target says, and trains a drafter of a layer or two on it."""
