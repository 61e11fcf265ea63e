"""How far the engine's forward passes are from what this machine can do."""
