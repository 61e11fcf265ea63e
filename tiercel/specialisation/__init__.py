"""Fine-tunes a model on one task: samples in, a folder to serve from out."""
