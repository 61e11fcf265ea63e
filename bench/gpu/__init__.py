"""The torch engine against the transformers library on one GPU, sequences in batches."""
